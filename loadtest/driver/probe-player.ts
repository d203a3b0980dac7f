/**
 * A player over the unmodified SDK who plays, loses its connection, comes back by the SDK's own doing, and notes what a
 * person and a game client would notice: pauses, objects that are not the same any more, callbacks for what never came or
 * went, inputs that nobody answers, and every frame for `witness.ts`.
 */
import type { Room } from '@colyseus/sdk';
import type { ArenaState } from '../../schema/arena-state.ts';
import type { TrackStep } from './input-track.ts';
import type { Player } from './player.ts';
import { hashSeen } from './sight.ts';
import { Witness } from './witness.ts';

// The SDK takes the global WebSocket where there is one; Node's own costs twice the CPU of `ws`, which it falls back to.
Reflect.deleteProperty(globalThis, 'WebSocket');
const { Callbacks, Client } = await import('@colyseus/sdk');

/** A pause that is written down, ms; a patch comes every 33. */
const PAUSE_MIN_MS = 100;
const PAUSES_MAX = 10_000;

export interface ProbeOptions {
  /** `http://host:port` or `ws://host:port`. */
  readonly endpoint: string;
  readonly roomName: string;
  /** Joins exactly this room; otherwise whatever has room. */
  readonly roomId?: string;
  readonly name: string;
  /** What it does, again and again. */
  readonly track: readonly TrackStep[];
  /** Of every request, such as `X-Forwarded-For`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Of the SDK: ms that a room must have been up for it to reconnect by itself. Its own default where absent. */
  readonly minUptimeMs?: number;
}

/** A stretch without a patch. */
export interface Pause {
  /** When the next one came, ms since 1970. */
  readonly endedAtMs: number;
  readonly ms: number;
}

/** Whether a player is there, and since when again. */
export interface ProbePulse {
  readonly roomId: string;
  readonly isOpen: boolean;
  readonly patches: number;
  /** ms since 1970. */
  readonly lastPatchAtMs: number;
  readonly drops: number;
  readonly resumes: number;
}

/** What one player noticed so far; JSON-able. */
export interface ProbeFacts extends ProbePulse {
  readonly sessionId: string;
  readonly playerId: string;
  readonly matchId: string;
  readonly seat: number;
  /** Close code of the end, once it has ended. */
  readonly leftWith: number | undefined;
  /** Codes of notices, and of errors of the room. */
  readonly notices: readonly string[];
  readonly isMatchEnded: boolean;
  readonly pauses: readonly Pause[];
  /** Instances of the state that were not the same after a resume. */
  readonly identityLosses: number;
  /** `onAdd` and `onRemove` of what was there before and after a resume. */
  readonly spuriousCallbacks: number;
  readonly inputsSent: number;
  /** Of the present connection; those under way among them. */
  readonly inputsUnacked: number;
}

/** What must be the same objects after a resume. */
interface Kept {
  readonly state: object;
  readonly objects: ReadonlyMap<string, object>;
}

/** Joins; resolves when the server has let the player in. @throws Error saying why not */
export async function joinProbe(options: ProbeOptions): Promise<ProbePlayer> {
  const client = new Client(options.endpoint, { headers: { ...options.headers } });
  // In Node the SDK keeps the token in a store of the process: without this, every player would be the first one.
  client.auth.token = undefined as unknown as string;
  const { user } = (await client.auth.signInAnonymously()) as { user?: { playerId?: string } };
  const room =
    options.roomId === undefined
      ? await client.joinOrCreate(options.roomName, { name: options.name })
      : await client.joinById(options.roomId, { name: options.name });
  return new ProbePlayer(room as Room, options, user?.playerId ?? '');
}

export class ProbePlayer implements Player {
  readonly room: Room;
  readonly witness = new Witness();
  readonly advertisedRateHz: number;
  readonly #playerId: string;
  readonly #track: readonly TrackStep[];
  readonly #input: ReturnType<Room['input']>;
  readonly #pauses: Pause[] = [];
  readonly #notices: string[] = [];
  #seat = -1;
  #matchId = '';
  #step = 0;
  #patches = 0;
  #lastPatchMs = 0;
  #drops = 0;
  #resumes = 0;
  #inputsSent = 0;
  #leftWith: number | undefined;
  #isMatchEnded = false;
  #isNextWhole = true;
  /** Set from a drop to the first frame after it. */
  #kept: Kept | undefined;
  #identityLosses = 0;
  #spuriousCallbacks = 0;
  /** Keys added and removed while it resumed. */
  readonly #touched = new Map<string, 'added' | 'removed'>();

  constructor(room: Room, { track, minUptimeMs }: ProbeOptions, playerId: string) {
    this.room = room;
    this.#playerId = playerId;
    this.#track = track;
    if (minUptimeMs !== undefined) room.reconnection.minUptime = minUptimeMs;
    this.#input = room.input();
    this.advertisedRateHz = this.#input.tickRate ?? 0;
    room.onMessage('*', () => {});
    room.onMessage('welcome', ({ seat, matchId }: { seat: number; matchId: string }) => {
      this.#seat = seat;
      this.#matchId = matchId;
    });
    room.onMessage('notice', ({ code }: { code: unknown }) => void this.#notices.push(String(code)));
    room.onMessage('match-ended', () => {
      this.#isMatchEnded = true;
    });
    // An attempt to reconnect that fails tells nothing.
    room.onError((code, text) => {
      if (code !== undefined) this.#notices.push(`${code} ${text}`);
    });
    room.onDrop(() => this.#dropped());
    room.onReconnect(() => {
      this.#resumes++;
      this.#isNextWhole = true;
    });
    room.onLeave((code) => {
      this.#leftWith = code;
    });
    room.onStateChange((state) => this.#saw(state as unknown as ArenaState));
    this.#watch();
  }

  get roomId(): string {
    return this.room.roomId;
  }

  get isOpen(): boolean {
    return this.#leftWith === undefined;
  }

  get seat(): number {
    return this.#seat;
  }

  get matchId(): string {
    return this.#matchId;
  }

  /** As a game does it: every step, also while the connection is away, where the SDK sends nothing. */
  sendInput(): void {
    const { moveX, moveY, aim, buttons } = this.#track[this.#step]!;
    this.#step = (this.#step + 1) % this.#track.length;
    const data = this.#input.data as Record<string, number>;
    data['moveX'] = moveX;
    data['moveY'] = moveY;
    data['aim'] = aim;
    data['buttons'] = buttons;
    if (this.#input.send() !== 0) this.#inputsSent++;
  }

  async leave(): Promise<void> {
    if (this.#leftWith !== undefined) return;
    this.room.reconnection.enabled = false;
    await this.room.leave(true).catch(() => {
      // The socket was gone already, which is what was wanted.
    });
  }

  pulse(): ProbePulse {
    return {
      roomId: this.room.roomId,
      isOpen: this.isOpen,
      patches: this.#patches,
      lastPatchAtMs: this.#lastPatchMs,
      drops: this.#drops,
      resumes: this.#resumes,
    };
  }

  facts(): ProbeFacts {
    return {
      ...this.pulse(),
      sessionId: this.room.sessionId,
      playerId: this.#playerId,
      matchId: this.#matchId,
      seat: this.#seat,
      leftWith: this.#leftWith,
      notices: [...this.#notices],
      isMatchEnded: this.#isMatchEnded,
      pauses: [...this.#pauses],
      identityLosses: this.#identityLosses,
      spuriousCallbacks: this.#spuriousCallbacks,
      inputsSent: this.#inputsSent,
      inputsUnacked: this.#input.pendingCount,
    };
  }

  #saw(state: ArenaState): void {
    const nowMs = performance.timeOrigin + performance.now();
    if (this.#lastPatchMs > 0 && nowMs - this.#lastPatchMs >= PAUSE_MIN_MS && this.#pauses.length < PAUSES_MAX) {
      this.#pauses.push({ endedAtMs: nowMs, ms: nowMs - this.#lastPatchMs });
    }
    this.#lastPatchMs = nowMs;
    this.#patches++;
    const isWhole = this.#isNextWhole;
    this.#isNextWhole = false;
    if (isWhole && this.#kept !== undefined) this.#compare(this.#kept);
    if (this.#seat < 0) return;
    this.witness.saw(hashSeen(state, this.#seat), isWhole);
    if (!this.witness.wantsOthers) return;
    state.avatars?.forEach(({ seat, x, y }) => {
      if (seat !== this.#seat) this.witness.sawOther(seat, x, y);
    });
  }

  #dropped(): void {
    // It fires again for every attempt that fails.
    if (this.#kept !== undefined) return;
    this.#drops++;
    this.#touched.clear();
    this.#kept = { state: this.room.state as object, objects: this.#objects() };
  }

  /** The scoreboard and the own avatar are always there; others may have gone out of sight meanwhile. */
  #objects(): Map<string, object> {
    const state = this.room.state as unknown as ArenaState;
    const objects = new Map<string, object>();
    state.scores?.forEach((score, key) => void objects.set(`scores.${key}`, score));
    state.avatars?.forEach((avatar, key) => void objects.set(`avatars.${key}`, avatar));
    state.rockets?.forEach((rocket, key) => void objects.set(`rockets.${key}`, rocket));
    for (const name of ['pickups', 'kills', 'explosions'] as const) {
      state[name]?.forEach((place: object, index: number) => void objects.set(`${name}.${index}`, place));
    }
    return objects;
  }

  #compare({ state, objects }: Kept): void {
    this.#kept = undefined;
    if (state !== this.room.state) this.#identityLosses++;
    const now = this.#objects();
    for (const [key, object] of objects) {
      const other = now.get(key);
      if (other !== undefined && other !== object) this.#identityLosses++;
      if (other !== undefined && this.#touched.has(key)) this.#spuriousCallbacks++;
    }
    this.#touched.clear();
  }

  #watch(): void {
    const callbacks = Callbacks.get(this.room as never) as unknown as {
      onAdd(name: string, run: (item: unknown, key: string) => void, immediate: boolean): void;
      onRemove(name: string, run: (item: unknown, key: string) => void): void;
    };
    for (const name of ['scores', 'avatars', 'rockets']) {
      callbacks.onAdd(name, (_, key) => void this.#touch(`${name}.${key}`, 'added'), false);
      callbacks.onRemove(name, (_, key) => void this.#touch(`${name}.${key}`, 'removed'));
    }
  }

  #touch(key: string, how: 'added' | 'removed'): void {
    if (this.#kept !== undefined) this.#touched.set(key, how);
  }
}
