/** Players who note what they notice, in a process of their own; see probe-player.ts. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ProbeFacts, ProbePulse } from './probe-player.ts';
import type { ProbeAnswer, ProbeAsk, ProbeCommand, ProbeSetup, ProbeVerdict } from './probe-worker.ts';
import type { JournaledMatch } from './witness.ts';

const STOP_MS = 5_000;
/** A journal is at most some 50 ms behind what players see. */
const JUDGE_TRIES = 20;
const JUDGE_AGAIN_MS = 100;

export class Probes {
  readonly #child: ChildProcess;
  readonly #awaited = new Map<number, (answer: ProbeAnswer) => void>();
  #asked = 0;
  #ended: string | undefined;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (answer: ProbeAnswer) => {
      this.#awaited.get(answer.id)?.(answer);
      this.#awaited.delete(answer.id);
    });
    const end = (why: string): void => {
      this.#ended ??= why;
      for (const [id, resolve] of this.#awaited) resolve({ id, error: this.#ended });
      this.#awaited.clear();
    };
    child.once('error', (error) => end(error.message));
    child.once('exit', (code, signal) => end(`the process of the probes ended with ${signal ?? `code ${code}`}`));
  }

  static async start(setup: ProbeSetup): Promise<Probes> {
    const script = fileURLToPath(new URL('./probe-worker.ts', import.meta.url));
    // What the SDK tells the console of every connection goes nowhere. Typed arrays pass as they are.
    const child = fork(script, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], serialization: 'advanced' });
    const probes = new Probes(child);
    await probes.#ask({ kind: 'setup', setup });
    return probes;
  }

  /** One more player, in this room or in whatever has room. @throws Error saying why it could not join */
  join(roomId?: string): Promise<ProbeFacts> {
    return this.#ask({ kind: 'join', ...(roomId === undefined ? {} : { roomId }) });
  }

  /** Of all players, in the order in which they joined. */
  facts(): Promise<ProbeFacts[]> {
    return this.#ask({ kind: 'facts' });
  }

  /** The same, of what changes all the time. */
  pulse(): Promise<ProbePulse[]> {
    return this.#ask({ kind: 'pulse' });
  }

  /** Those of the room leave it and are forgotten. @returns what they had noticed until then */
  leave(roomId: string): Promise<ProbeFacts[]> {
    return this.#ask({ kind: 'leave', roomId });
  }

  /** They go on sending inputs, or stop. */
  play(isPlaying: boolean): Promise<void> {
    return this.#ask({ kind: 'play', isPlaying });
  }

  /**
   * Holds what they have seen by now against their matches.
   * @param read the matches of the players as their journal has them; asked again while it is behind what was seen
   */
  async judge(read: () => Promise<readonly JournaledMatch[]>): Promise<ProbeVerdict[]> {
    await this.#ask({ kind: 'mark' });
    for (let attempt = 1; ; attempt++) {
      const verdicts = await this.#ask<ProbeVerdict[]>({ kind: 'judge', matches: await read() });
      if (attempt === JUDGE_TRIES || verdicts.every(({ trailing }) => trailing === 0)) return verdicts;
      await new Promise((resolve) => setTimeout(resolve, JUDGE_AGAIN_MS));
    }
  }

  async stop(): Promise<void> {
    if (this.#ended !== undefined) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    if (this.#child.connected) this.#child.send({ id: -1, command: { kind: 'stop' } } satisfies ProbeAsk);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(timer);
  }

  async #ask<Result>(command: ProbeCommand): Promise<Result> {
    if (this.#ended !== undefined) throw new Error(this.#ended);
    const id = this.#asked++;
    const answered = new Promise<ProbeAnswer>((resolve) => this.#awaited.set(id, resolve));
    this.#child.send({ id, command } satisfies ProbeAsk);
    const { result, error } = await answered;
    if (error !== undefined) throw new Error(error);
    return result as Result;
  }
}
