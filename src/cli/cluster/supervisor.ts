/**
 * Keeps the processes of a small cluster running: starts them, starts again those that die, replaces them one after
 * another, and drains them all at the end. Knows nothing of what they do.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Child, EndSignal, Exit, StartChild } from './child.ts';
import { type Verdict, verdictOn } from './restart-policy.ts';

export interface Post {
  /** Such as `realtime-1`. */
  readonly name: string;
  readonly start: StartChild;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface SupervisorOptions {
  /** A line of a process, or, without a name, of the supervisor itself. */
  readonly say: (name: string | undefined, line: string) => void;
  /** Told once when no process is left, with why: the exit code of all of it. */
  readonly onEnd: (exitCode: number) => void;
  /** From the start of a process to its word that it is ready, ms. */
  readonly readyMs: number;
  /** From SIGTERM to SIGKILL, ms; longer than a drain. */
  readonly killMs: number;
  /** Monotonic clock and the waits between restarts; injected by tests. */
  readonly nowMs?: () => number;
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

export type PostState = 'starting' | 'ready' | 'draining' | 'waiting' | 'gone' | 'given-up';

export interface PostReading {
  readonly name: string;
  readonly state: PostState;
  /** 0 while there is no process. */
  readonly pid: number;
  readonly processId: string | undefined;
  /** It listens on; undefined until it has said so. */
  readonly port: number | undefined;
  /** Since it is ready, ms. */
  readonly readyForMs: number;
  readonly restarts: number;
}

interface Seat {
  post: Post;
  state: PostState;
  child: Child | undefined;
  readyAtMs: number | undefined;
  wasEverReady: boolean;
  deaths: number;
  restarts: number;
  /** Another process of this name takes over: the end of this one is expected, whatever its exit code. */
  isReplaced: boolean;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #nowMs: () => number;
  readonly #seats = new Map<string, Seat>();
  readonly #stopping = new AbortController();
  #exitCode = 0;
  #isRolling = false;
  #hasEnded = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  get posts(): readonly PostReading[] {
    const nowMs = this.#nowMs();
    return [...this.#seats.values()].map((seat) => ({
      name: seat.post.name,
      state: seat.state,
      pid: seat.state === 'waiting' ? 0 : (seat.child?.pid ?? 0),
      processId: seat.child?.told?.processId,
      port: seat.child?.told?.port,
      readyForMs: seat.readyAtMs === undefined ? 0 : Math.round(nowMs - seat.readyAtMs),
      restarts: seat.restarts,
    }));
  }

  get isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /**
   * Starts processes and waits until each is ready once.
   * @returns false if one of them ended for good before, or all are told to end
   */
  async start(posts: readonly Post[]): Promise<boolean> {
    const started = posts.map((post) => {
      const seat: Seat = {
        post,
        state: 'starting',
        child: undefined,
        readyAtMs: undefined,
        wasEverReady: false,
        deaths: 0,
        restarts: 0,
        isReplaced: false,
      };
      this.#seats.set(post.name, seat);
      return this.#firstReady(seat);
    });
    return (await Promise.all(started)).every((isReady) => isReady);
  }

  /**
   * Replaces processes one after another: the new one is ready before the old one is told to drain, and the old one is
   * gone before the next is touched.
   * @param names all, if not given; in the order in which they were started
   * @param change of a post, such as another build
   * @returns whether all were replaced; it stops at the first that cannot be
   */
  async roll(
    say: (line: string) => void,
    { names, change }: { readonly names?: readonly string[]; readonly change?: (post: Post) => Post } = {},
  ): Promise<boolean> {
    if (this.#isRolling) {
      say('Processes are being replaced already.');
      return false;
    }
    this.#isRolling = true;
    try {
      const wanted = [...this.#seats.values()].filter(
        ({ post, state }) => state === 'ready' && (names === undefined || names.includes(post.name)),
      );
      if (wanted.length === 0) say('There is no process to replace.');
      for (const [at, seat] of wanted.entries()) {
        if (this.isStopping) return false;
        const progress = `${at + 1} of ${wanted.length}, ${seat.post.name}`;
        if (!(await this.#replace(seat, change?.(seat.post) ?? seat.post, (line) => say(`${progress}: ${line}`)))) {
          return false;
        }
      }
      return wanted.length > 0;
    } finally {
      this.#isRolling = false;
    }
  }

  /** Drains all processes; resolves when the last is gone. The exit code is told to `onEnd`. */
  async stop(exitCode = 0, signal: EndSignal = 'SIGTERM'): Promise<void> {
    this.#exitCode ||= exitCode;
    this.#stopping.abort();
    await Promise.all([...this.#seats.values()].map((seat) => this.#end(seat, signal)));
    this.#endIfEmpty();
  }

  /** Everybody is ended at once, without a drain. */
  kill(): void {
    this.#stopping.abort();
    for (const { child } of this.#seats.values()) child?.kill('SIGKILL');
  }

  async #firstReady(seat: Seat): Promise<boolean> {
    const settled = Promise.withResolvers<boolean>();
    this.#launch(seat, settled.resolve);
    return settled.promise;
  }

  /** @param settle told whether it became ready, once, or ended for good before */
  #launch(seat: Seat, settle: (isReady: boolean) => void = () => {}): void {
    const child = this.#spawn(seat.post);
    seat.child = child;
    seat.state = 'starting';
    seat.readyAtMs = undefined;
    const isLate = this.#killIfLate(seat.post.name, child);
    void child.ready.then(() => {
      clearTimeout(isLate);
      if (seat.child !== child || seat.state !== 'starting') return;
      seat.state = 'ready';
      seat.readyAtMs = this.#nowMs();
      seat.wasEverReady = true;
      settle(true);
    });
    void child.exited.then((exit) => {
      clearTimeout(isLate);
      if (seat.child === child && !seat.isReplaced) this.#onExit(seat, exit, settle);
    });
  }

  #spawn(post: Post): Child {
    return post.start({ env: post.env, say: (line) => this.#options.say(post.name, line) });
  }

  /** A process that never becomes ready is taken for dead, and counts as one. */
  #killIfLate(name: string, child: Child): NodeJS.Timeout {
    const { readyMs, say } = this.#options;
    return setTimeout(() => {
      say(undefined, `${name} is not ready after ${readyMs / 1000} s; it is killed`);
      child.kill('SIGKILL');
    }, readyMs);
  }

  #onExit(seat: Seat, exit: Exit, settle: (isReady: boolean) => void): void {
    const { say } = this.#options;
    const { name } = seat.post;
    const verdict: Verdict =
      seat.state === 'draining' || this.isStopping
        ? { is: 'gone' }
        : verdictOn({
            code: exit.code,
            readyForMs: seat.readyAtMs === undefined ? undefined : this.#nowMs() - seat.readyAtMs,
            wasEverReady: seat.wasEverReady,
            deaths: seat.deaths,
          });
    seat.readyAtMs = undefined;
    seat.child = undefined;
    if (verdict.is === 'restart') {
      say(undefined, `${name} ${howItEnded(exit)}; it is started again in ${verdict.afterMs} ms`);
      Object.assign(seat, { state: 'waiting', deaths: verdict.deaths, restarts: seat.restarts + 1 });
      void this.#wait(verdict.afterMs).then((isOver) => {
        if (isOver) this.#launch(seat, settle);
        else this.#leave(seat, 'gone', settle);
      });
      return;
    }
    if (verdict.is === 'given-up') {
      say(undefined, `${name} ${howItEnded(exit)} again and again; it is left alone`);
    } else if (verdict.is === 'faulty') {
      say(undefined, `${name} ${howItEnded(exit)}: what it says is not mended by another start; all processes end`);
      this.#leave(seat, 'given-up', settle);
      void this.stop(verdict.exitCode);
      return;
    } else if (!this.isStopping) say(undefined, `${name} has drained and is gone`);
    this.#leave(seat, verdict.is, settle);
  }

  #leave(seat: Seat, state: 'gone' | 'given-up', settle: (isReady: boolean) => void): void {
    seat.state = state;
    settle(false);
    this.#endIfEmpty();
  }

  #endIfEmpty(): void {
    const isOver = (state: PostState) => state === 'gone' || state === 'given-up';
    if (this.#hasEnded || ![...this.#seats.values()].every(({ state }) => isOver(state))) return;
    this.#hasEnded = true;
    // Without a signal nobody is left only where somebody was given up, or all were drained one by one.
    const isFailed = !this.isStopping && [...this.#seats.values()].some(({ state }) => state === 'given-up');
    this.#options.onEnd(isFailed ? 1 : this.#exitCode);
  }

  async #replace(seat: Seat, post: Post, say: (line: string) => void): Promise<boolean> {
    const old = seat.child!;
    say('the new one starts');
    const next = this.#spawn(post);
    const isLate = this.#killIfLate(post.name, next);
    const outcome = await Promise.race([next.ready.then(() => 'ready' as const), next.exited]);
    clearTimeout(isLate);
    if (outcome !== 'ready') {
      say(`the new one ${howItEnded(outcome)} before it was ready; the old one stays`);
      return false;
    }
    if (seat.child !== old || this.isStopping) {
      // The old one died in the meantime, and is being started again by the ordinary way.
      next.kill('SIGTERM');
      await next.exited;
      say('the old one ended by itself; nothing was replaced');
      return false;
    }
    say('the new one is ready, the old one drains');
    const startedAtMs = this.#nowMs();
    seat.isReplaced = true;
    seat.state = 'draining';
    await this.#drain(old);
    seat.isReplaced = false;
    Object.assign(seat, { post, deaths: 0 });
    this.#adopt(seat, next);
    say(`the old one is gone after ${((this.#nowMs() - startedAtMs) / 1000).toFixed(1)} s`);
    return true;
  }

  /** Takes over a process that is ready; it may have ended meanwhile. */
  #adopt(seat: Seat, child: Child): void {
    seat.child = child;
    seat.state = 'ready';
    seat.readyAtMs = this.#nowMs();
    void child.exited.then((exit) => {
      if (seat.child === child && !seat.isReplaced) this.#onExit(seat, exit, () => {});
    });
    if (this.isStopping) void this.#end(seat);
  }

  async #end(seat: Seat, signal: EndSignal = 'SIGTERM'): Promise<void> {
    // Between a replaced process and its successor `roll` sees to both.
    if (seat.child === undefined || seat.isReplaced) return;
    seat.state = 'draining';
    await this.#drain(seat.child, signal);
  }

  async #drain(child: Child, signal: EndSignal = 'SIGTERM'): Promise<void> {
    child.kill(signal);
    const late = setTimeout(() => {
      this.#options.say(undefined, `process ${child.pid} does not end; it is killed`);
      child.kill('SIGKILL');
    }, this.#options.killMs);
    await child.exited;
    clearTimeout(late);
  }

  /** @returns false if all are told to end meanwhile */
  async #wait(ms: number): Promise<boolean> {
    const { signal } = this.#stopping;
    const wait = this.#options.wait ?? ((forMs, aborted) => delay(forMs, undefined, { signal: aborted }));
    try {
      await wait(ms, signal);
      return !signal.aborted;
    } catch (error) {
      if (signal.aborted) return false;
      throw error;
    }
  }
}

function howItEnded({ code, signal }: Exit): string {
  return signal === undefined ? `ended with exit code ${code ?? 'unknown'}` : `was ended by ${signal}`;
}
