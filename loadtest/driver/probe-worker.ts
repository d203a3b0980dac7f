/** A process of probes, so that what is measured and who measures do not share an event loop. See {@link Probes}. */
import { InputClock } from './input-clock.ts';
import { wander } from './input-track.ts';
import { joinProbe, type ProbeFacts, type ProbePlayer } from './probe-player.ts';
import { type JournaledMatch, type Judgement, MatchTruth } from './witness.ts';

export interface ProbeSetup {
  readonly endpoint: string;
  readonly roomName: string;
  readonly seed: number;
  /** See ProbeOptions. */
  readonly minUptimeMs?: number;
  /** Every player says in `X-Forwarded-For` that it has an address of its own. */
  readonly areAddressesApart?: boolean;
  /** A player; what the server advertises where absent. */
  readonly inputsPerSecond?: number;
}

/** What each of the player's frames came to. */
export interface ProbeVerdict extends Judgement {
  readonly matchId: string;
  readonly seat: number;
  readonly divergedAtTick: number | undefined;
}

export type ProbeCommand =
  | { readonly kind: 'setup'; readonly setup: ProbeSetup }
  | { readonly kind: 'join'; readonly roomId?: string }
  | { readonly kind: 'facts' }
  /** A part of the facts, cheap enough to be asked for all the time: see {@link ProbePulse}. */
  | { readonly kind: 'pulse' }
  /** Whether they send inputs; they do from the start. */
  | { readonly kind: 'play'; readonly isPlaying: boolean }
  /** Those of the room leave it and are forgotten. Answered with their facts, once they have left. */
  | { readonly kind: 'leave'; readonly roomId: string }
  /** What they have seen by now is what will be judged. */
  | { readonly kind: 'mark' }
  /** Holds what the players of these matches saw against them. */
  | { readonly kind: 'judge'; readonly matches: readonly JournaledMatch[] }
  | { readonly kind: 'stop' };

export interface ProbeAsk {
  readonly id: number;
  readonly command: ProbeCommand;
}
export interface ProbeAnswer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

const TRACK_STEPS = 900;
const JOIN_TRIES = 4;

let players: ProbePlayer[] = [];
let joined = 0;
const clock = new InputClock(() => {});
let setup: ProbeSetup;
let rateHz = 0;
let marks: number[] = [];

async function join(roomId: string | undefined): Promise<ProbeFacts> {
  const id = joined++;
  const headers: Record<string, string> = setup.areAddressesApart
    ? { 'x-forwarded-for': `10.1.${(id >> 8) & 255}.${id & 255}` }
    : {};
  for (let attempt = 1; ; attempt++) {
    try {
      const player = await joinProbe({
        endpoint: setup.endpoint,
        roomName: setup.roomName,
        name: `probe-${id}`,
        track: wander(setup.seed + id, TRACK_STEPS),
        headers,
        ...(roomId === undefined ? {} : { roomId }),
        ...(setup.minUptimeMs === undefined ? {} : { minUptimeMs: setup.minUptimeMs }),
      });
      players.push(player);
      clock.add(player);
      if (rateHz === 0) {
        rateHz = setup.inputsPerSecond ?? (player.advertisedRateHz || 30);
        clock.start(rateHz);
      }
      return player.facts();
    } catch (error) {
      // A room that filled up meanwhile, haste, or a machine so busy that the reservation ran out.
      if (attempt === JOIN_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200 * attempt));
    }
  }
}

function judge(matches: readonly JournaledMatch[]): ProbeVerdict[] {
  const verdicts: ProbeVerdict[] = [];
  for (const match of matches) {
    const truth = new MatchTruth(match);
    for (const [at, player] of players.entries()) {
      if (player.matchId !== match.header.matchId || player.seat < 0) continue;
      const judgement = player.witness.judge(truth, player.seat, marks[at]);
      const { divergedAtTick } = truth;
      verdicts.push({ ...judgement, matchId: player.matchId, seat: player.seat, divergedAtTick });
    }
  }
  return verdicts;
}

async function leave(roomId: string): Promise<ProbeFacts[]> {
  const leaving = players.filter((player) => player.roomId === roomId);
  players = players.filter((player) => player.roomId !== roomId);
  await Promise.all(leaving.map((player) => player.leave()));
  return leaving.map((player) => player.facts());
}

async function run(command: ProbeCommand): Promise<unknown> {
  switch (command.kind) {
    case 'setup':
      setup = command.setup;
      return undefined;
    case 'join':
      return join(command.roomId);
    case 'facts':
      return players.map((player) => player.facts());
    case 'pulse':
      return players.map((player) => player.pulse());
    case 'play':
      if (command.isPlaying) clock.start(rateHz);
      else clock.stop();
      return undefined;
    case 'leave':
      return leave(command.roomId);
    case 'mark':
      marks = players.map(({ witness }) => witness.frames);
      return undefined;
    case 'judge':
      return judge(command.matches);
    case 'stop':
      clock.stop();
      for (const player of players) void player.leave();
      process.disconnect();
      return undefined;
  }
}

process.on('message', ({ id, command }: ProbeAsk) => {
  run(command).then(
    (result) => process.connected && process.send?.({ id, result } satisfies ProbeAnswer),
    (error: unknown) =>
      process.connected && process.send?.({ id, error: (error as Error).stack ?? String(error) } satisfies ProbeAnswer),
  );
});
// The parent is gone or said stop: sockets that are still closing do not keep the process.
process.on('disconnect', () => setTimeout(() => process.exit(), 300).unref());
