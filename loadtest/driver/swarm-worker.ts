/** One process of players. Told what to do by {@link Swarm} over the IPC channel; ends with it. */
import { Gatherer } from './gather.ts';
import { InputClock } from './input-clock.ts';
import { encodeTrack, encodeTrackAsMessages, wander } from './input-track.ts';
import type { Destination, Player, PlayerOptions, Track } from './player.ts';
import { reportTally, Tally, type TallyReport } from './tally.ts';

/** `wander` follows a track over the map; `gather` walks to its middle and stays there, moving (SDK only). */
export type Behaviour = 'wander' | 'gather';

/** How a worker is set up, once. */
export interface WorkerSetup {
  readonly destination: Destination;
  /** `sdk` decodes every patch with the official SDK; `light` only counts, at a tenth of the cost. */
  readonly mode: 'sdk' | 'light';
  readonly behaviour: Behaviour;
  /** Inputs per second and player; 0 takes what the server advertises, or 30 when it does not. */
  readonly inputsPerSecond: number;
  readonly seed: number;
  /** Start of every player's name. */
  readonly namePrefix: string;
}

export type WorkerCommand =
  | { readonly kind: 'setup'; readonly setup: WorkerSetup }
  /** Answered with `joined`. */
  | { readonly kind: 'join'; readonly id: number; readonly roomId?: string }
  | { readonly kind: 'rate'; readonly inputsPerSecond: number }
  /** Answered with `report`: everything since the start. */
  | { readonly kind: 'report' }
  /** All leave, then the process ends. */
  | { readonly kind: 'stop' };

export type WorkerAnswer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'joined'; readonly id: number; readonly roomId: string; readonly error?: string }
  | { readonly kind: 'report'; readonly report: TallyReport; readonly atMs: number; readonly rateHz: number };

const TRACKS = 64;
const TRACK_STEPS = 900;
const DEFAULT_RATE_HZ = 30;
/** A refusal for haste is tried again: it is about one address that plays hundreds of people. */
const JOIN_TRIES = 6;

const tally = new Tally();
const players: Player[] = [];
const clock = new InputClock((inputs) => {
  tally.inputsSkipped += inputs;
});
let setup: WorkerSetup;
let tracks: Track[] = [];
let rateHz = 0;
let gatherer: Gatherer | undefined;
let joinPlayer: (options: PlayerOptions) => Promise<Player>;

function answer(message: WorkerAnswer): void {
  process.send?.(message);
}

async function prepare(given: WorkerSetup): Promise<void> {
  setup = given;
  const encodeSteps = setup.destination.dialect === 'plain' ? encodeTrackAsMessages : encodeTrack;
  tracks = Array.from({ length: TRACKS }, (_, i) => {
    const steps = wander(setup.seed + i, TRACK_STEPS);
    return { steps, bodies: setup.mode === 'light' ? encodeSteps(steps) : [] };
  });
  if (setup.behaviour === 'gather') gatherer = new Gatherer();
  // Imported here, so that light workers do not carry the SDK.
  joinPlayer =
    setup.mode === 'sdk' ? (await import('./sdk-client.ts')).joinSdk : (await import('./light-client.ts')).joinLight;
  answer({ kind: 'ready' });
}

async function join(id: number, roomId: string | undefined): Promise<void> {
  const options: PlayerOptions = {
    id,
    destination: setup.destination,
    name: `${setup.namePrefix}${id}`,
    track: tracks[id % TRACKS]!,
    tally,
    ...(roomId === undefined ? {} : { roomId }),
    ...(gatherer === undefined ? {} : { gatherer }),
  };
  for (let attempt = 1; ; attempt++) {
    try {
      const player = await joinPlayer(options);
      players.push(player);
      tally.joined++;
      if (rateHz === 0) setRate(setup.inputsPerSecond || player.advertisedRateHz || DEFAULT_RATE_HZ);
      clock.add(player);
      answer({ kind: 'joined', id, roomId: player.roomId });
      return;
    } catch (error) {
      if (isHasteRefused(error) && attempt < JOIN_TRIES) {
        await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** attempt));
        continue;
      }
      const text = describe(error);
      tally.fail(text);
      answer({ kind: 'joined', id, roomId: '', error: text });
      return;
    }
  }
}

function isHasteRefused(error: unknown): boolean {
  const { code, status, message } = error as { code?: unknown; status?: unknown; message?: unknown };
  return code === 429 || status === 429 || code === 'RATE_LIMITED' || / 429|RATE_LIMITED/.test(String(message));
}

/** A reason short enough to count by. */
function describe(error: unknown): string {
  const { code, message, cause } = error as { code?: unknown; message?: unknown; cause?: { code?: unknown } };
  return [code ?? cause?.code, message]
    .filter((part) => part !== undefined && part !== '')
    .join(' ')
    .slice(0, 120);
}

function setRate(inputsPerSecond: number): void {
  rateHz = inputsPerSecond;
  clock.start(inputsPerSecond);
}

function stop(): void {
  clock.stop();
  for (const player of players) player.leave();
  process.disconnect();
}

process.on('message', (command: WorkerCommand) => {
  if (command.kind === 'setup') prepare(command.setup).catch(fail);
  else if (command.kind === 'join') join(command.id, command.roomId).catch(fail);
  else if (command.kind === 'rate') setRate(command.inputsPerSecond);
  else if (command.kind === 'report') {
    answer({ kind: 'report', report: reportTally(tally), atMs: performance.now(), rateHz });
  } else stop();
});
// The parent is gone or said stop: sockets that are still closing do not keep the process.
process.on('disconnect', () => setTimeout(() => process.exit(), 500).unref());

function fail(error: unknown): never {
  process.stderr.write(`load worker: ${(error as Error).stack}\n`);
  process.exit(1);
}
