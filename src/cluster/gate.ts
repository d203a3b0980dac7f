/**
 * The gate in front of the rooms of a cluster: knows nobody's secrets and keeps nothing that lasts. A WebSocket upgrade
 * for a room that runs here goes to the transport; for one elsewhere it is tunnelled to its owner; while nobody runs the
 * room it is held, and let through the moment somebody does. When the owner of a room changes or dies, tunnels to it are
 * cut, so that clients of a process that froze come again by themselves.
 *
 * To an SDK a close with 4003 is final. So wherever a room exists but is not validly here, the transport, which would
 * answer just that, never sees the request: it is held, or answered 503, at which the SDK tries again.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { CLOSE, type ErrorCode, GameError } from '../kernel/errors.ts';
import type { ClusterDirectory, RoomPlace } from './directory.ts';
import type { CutReason, GateTotals, HoldOutcome } from './gate-totals.ts';
import { HOP_HEADER, type HopMarks } from './hop-mark.ts';
import { closeUpgrade, refuseUpgrade } from './raw-answer.ts';
import { type RoomTarget, roomTargetOf } from './room-target.ts';
import { dial, Tunnel } from './tunnel.ts';
import { WaitingUpgrade } from './waiting-upgrade.ts';

/** The bounds of src/limits.ts that it enforces; stated there. */
export interface RoomGateLimits {
  readonly gateTunnelsMax: number;
  readonly gateTunnelsPerAddressMax: number;
  readonly gateWaitingMax: number;
  readonly gateWaitingPerAddressMax: number;
  readonly gateHoldMs: number;
  readonly gateReaskMs: number;
  readonly gateAnswerMs: number;
  readonly gateLingerMs: number;
  readonly gateWaitingBytesMax: number;
  readonly gateOwnersKeptMax: number;
}

export interface RoomGateOptions {
  /** Of this process; one that no room has where it runs none. */
  readonly processId: string;
  readonly directory: ClusterDirectory;
  readonly marks: HopMarks;
  readonly limits: RoomGateLimits;
  readonly totals: GateTotals;
  /** Whether the room is among those of this process, whoever its owner is by now. */
  hasRoom(roomId: string): boolean;
  /** The player's address, as far as this process may believe it. */
  addressOf(request: IncomingMessage): string;
  /** What shares a limit with it; undefined for those that have none, such as this machine. */
  networkOf(request: IncomingMessage): string | undefined;
  /** Whether another gate passed it on, or it pretends so. */
  isHop(request: IncomingMessage): boolean;
  onRefusal(code: ErrorCode): void;
  onBug(error: unknown): void;
}

export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

interface Owner {
  readonly processId: string;
  readonly host: string;
  readonly port: number;
}

/** Those who wait for one room. */
interface Hold {
  readonly waiting: Set<WaitingUpgrade>;
  timer: NodeJS.Timeout | undefined;
  /** The process that could not be reached when last tried; it is tried with one of them first. */
  failedOwner: string | undefined;
}

const WEBSOCKET = /^websocket$/i;
const NOWHERE: RoomTarget = { processId: '', roomId: '' };
/** Never passed on: what belongs to one connection, and what only a proxy may say. */
const DROPPED_HEADERS: ReadonlySet<string> = new Set([
  HOP_HEADER,
  'connection',
  'upgrade',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'content-length',
  'te',
  'trailer',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-real-ip',
  'x-client-ip',
]);

export class RoomGate {
  readonly #options: RoomGateOptions;
  readonly #tunnels = new Map<string, Set<Tunnel>>();
  readonly #tunnelsOf = new Map<string, number>();
  readonly #waiting = new Set<WaitingUpgrade>();
  readonly #waitingOf = new Map<string, number>();
  readonly #holds = new Map<string, Hold>();
  /** Questions under way: a thousand clients of one room ask once. */
  readonly #asked = new Map<string, Promise<RoomPlace | 'away'>>();
  /** Who ran a room when last heard, for the time in which the directory cannot say; oldest first. */
  readonly #owners = new Map<string, Owner>();
  readonly #unsubscribe: readonly (() => void)[];
  /** What answers for rooms of this process; undefined where there are none. */
  #local: UpgradeListener | undefined;
  #turn = 0;
  #closing: Promise<void> | undefined;

  constructor(options: RoomGateOptions) {
    this.#options = options;
    const { directory } = options;
    this.#unsubscribe = [
      directory.onOwner((roomId, owner) => this.#onOwner(roomId, owner)),
      directory.onDeath((processId) => this.#onDeath(processId)),
    ];
  }

  /**
   * Puts itself before the upgrade listeners that the server has now, which then get what is for this process. Call
   * after the transport added its own, and before anything that bounds and normalises requests encloses them all.
   */
  enclose(server: Server): void {
    const listeners = server.listeners('upgrade') as UpgradeListener[];
    server.removeAllListeners('upgrade');
    if (listeners.length > 0) {
      this.#local = (request, socket, head) => {
        for (const listener of listeners) listener.call(server, request, socket, head);
      };
    }
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#upgrade(request, socket, head),
    );
  }

  /** Ends everything: those who wait are refused, tunnels end as soon as what is on its way has arrived. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    for (const end of this.#unsubscribe) end();
    for (const waiting of [...this.#waiting]) this.#refuse(waiting, 'DRAINING');
    const tunnels = [...this.#tunnels.values()].flatMap((some) => [...some]);
    this.#options.totals.cuts.closing += tunnels.length;
    await Promise.all(tunnels.map((tunnel) => tunnel.end()));
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { limits, onRefusal } = this.#options;
    const isWebSocket = request.method === 'GET' && WEBSOCKET.test(request.headers.upgrade ?? '');
    // Without a room it is a ping of an SDK, which anybody may answer.
    const target = roomTargetOf(request.url ?? '') ?? (this.#local === undefined ? NOWHERE : undefined);
    if (!isWebSocket || target === undefined) {
      if (this.#local !== undefined) this.#local(request, socket, head);
      else {
        onRefusal('INVALID_INPUT');
        refuseUpgrade(socket, 'INVALID_INPUT');
      }
      return;
    }
    const network = this.#options.networkOf(request);
    const isCrowded = network !== undefined && (this.#waitingOf.get(network) ?? 0) >= limits.gateWaitingPerAddressMax;
    if (this.#closing !== undefined || isCrowded || this.#waiting.size >= limits.gateWaitingMax) {
      const code = this.#closing !== undefined ? 'DRAINING' : isCrowded ? 'RATE_LIMITED' : 'OVERLOADED';
      onRefusal(code);
      refuseUpgrade(socket, code);
      return;
    }
    const waiting = new WaitingUpgrade({
      request,
      socket,
      head,
      target,
      network,
      nowMs: performance.now(),
      bytesMax: limits.gateWaitingBytesMax,
      onGone: (gone, isTooLarge) => this.#gone(gone, isTooLarge),
    });
    this.#waiting.add(waiting);
    if (network !== undefined) this.#waitingOf.set(network, (this.#waitingOf.get(network) ?? 0) + 1);
    // Where others wait already the directory has been asked, and will be again.
    if (this.#holds.has(target.roomId) && !this.#options.isHop(request)) this.#hold(waiting);
    else void this.#ask(target.roomId).then((place) => this.#decide(waiting, place));
  }

  async #ask(roomId: string): Promise<RoomPlace | 'away'> {
    const known = this.#asked.get(roomId);
    if (known !== undefined) return known;
    const asking = this.#options.directory
      .placeOf(roomId)
      .catch((error: unknown) => {
        // Whatever is wrong with the store, a client is better held than told a final no.
        if (!(error instanceof GameError)) this.#options.onBug(error);
        return 'away' as const;
      })
      .finally(() => this.#asked.delete(roomId));
    this.#asked.set(roomId, asking);
    return asking;
  }

  #decide(waiting: WaitingUpgrade, place: RoomPlace | 'away'): void {
    if (waiting.isOver) return;
    const { processId, hasRoom } = this.#options;
    const { roomId } = waiting.target;
    if (place !== 'away' && place.state === 'parked') {
      this.#leave(waiting);
      this.#options.onRefusal('MATCH_PARKED');
      closeUpgrade(waiting.request, waiting.socket, CLOSE.MATCH_PARKED, 'MATCH_PARKED');
      return;
    }
    if (place !== 'away' && place.state === 'running') {
      this.#remember(roomId, place);
      if (place.processId !== processId) this.#passOn(waiting, place);
      else if (hasRoom(roomId)) this.#passLocal(waiting);
      else this.#hold(waiting);
      return;
    }
    if (place !== 'away' && place.state === 'moving') {
      this.#hold(waiting);
      return;
    }
    // The directory does not know it, or does not answer: then who has it does, who had it, or who gave the seat.
    const isHop = this.#options.isHop(waiting.request);
    if (hasRoom(roomId) || (place !== 'away' && isHop)) {
      this.#passLocal(waiting);
      return;
    }
    const likely = isHop ? undefined : this.#likelyOwner(waiting);
    if (likely !== undefined) {
      this.#remember(roomId, likely);
      this.#passOn(waiting, likely);
    } else if (place === 'away') this.#hold(waiting);
    else if (this.#local !== undefined) this.#passLocal(waiting);
    else this.#passToAny(waiting);
  }

  /** Nobody knows the room: whoever is there says so in the framework's words. */
  #passToAny(waiting: WaitingUpgrade): void {
    this.#owners.delete(waiting.target.roomId);
    const candidates = this.#options.directory
      .processes()
      .filter(({ roles, isDraining }) => roles.includes('realtime') && !isDraining);
    const any = candidates[this.#turn++ % candidates.length];
    if (any === undefined) this.#hold(waiting);
    else this.#passOn(waiting, any);
  }

  /** Another process that lives and may well have the room. */
  #likelyOwner({ target }: WaitingUpgrade): Owner | undefined {
    const { directory, processId } = this.#options;
    const alive = directory.processes();
    for (const id of [this.#owners.get(target.roomId)?.processId, target.processId]) {
      if (id === undefined || id === processId) continue;
      const card = alive.find((other) => other.processId === id);
      if (card !== undefined) return card;
    }
    return undefined;
  }

  #passLocal(waiting: WaitingUpgrade): void {
    const { request, socket } = waiting;
    this.#leave(waiting);
    try {
      this.#local?.(request, socket, waiting.takeBytes());
    } catch (error) {
      this.#options.onBug(error);
      socket.destroy();
    }
    // It was paused while it changed hands.
    if (!socket.destroyed) socket.resume();
  }

  #passOn(waiting: WaitingUpgrade, owner: Owner): void {
    const { limits, isHop, marks, addressOf } = this.#options;
    if (isHop(waiting.request)) {
      // Another gate believes that the room is here: it asks again. Passed on once more it could go round for ever.
      this.#refuse(waiting, 'ROOM_MOVING');
      return;
    }
    if (this.#options.totals.tunnels >= limits.gateTunnelsMax) {
      this.#refuse(waiting, 'OVERLOADED');
      return;
    }
    const { network } = waiting;
    if (network !== undefined && (this.#tunnelsOf.get(network) ?? 0) >= limits.gateTunnelsPerAddressMax) {
      this.#refuse(waiting, 'RATE_LIMITED');
      return;
    }
    if (waiting.dialling !== undefined) return;
    const hold = this.#holds.get(waiting.target.roomId);
    if (hold?.failedOwner === owner.processId && !hold.waiting.has(waiting)) {
      this.#hold(waiting);
      return;
    }
    const { answer, abandon } = dial({
      host: owner.host,
      port: owner.port,
      head: headFor(waiting.request, marks.sign(addressOf(waiting.request))),
      answerMs: limits.gateAnswerMs,
    });
    waiting.dialling = { processId: owner.processId, abandon };
    void answer.then((outcome) => {
      waiting.dialling = undefined;
      if (outcome.state === 'answered') this.#tunnel(waiting, owner, outcome.far, outcome.first);
      else {
        this.#options.totals.dialFailures[outcome.state]++;
        this.#hold(waiting, owner.processId);
      }
    });
  }

  #tunnel(waiting: WaitingUpgrade, owner: Owner, far: Socket, first: Buffer): void {
    const { totals, limits } = this.#options;
    const { network, socket } = waiting;
    const { roomId } = waiting.target;
    const known = this.#owners.get(roomId);
    if (known !== undefined && known.processId !== owner.processId) {
      // The room moved while the former owner answered.
      far.destroy();
      this.#hold(waiting);
      return;
    }
    const hold = this.#holds.get(roomId);
    this.#leave(waiting, 'released');
    let tunnels = this.#tunnels.get(roomId);
    if (tunnels === undefined) {
      tunnels = new Set();
      this.#tunnels.set(roomId, tunnels);
    }
    totals.tunnels++;
    totals.opened++;
    if (network !== undefined) this.#tunnelsOf.set(network, (this.#tunnelsOf.get(network) ?? 0) + 1);
    const tunnel = new Tunnel({
      near: socket,
      far,
      processId: owner.processId,
      lingerMs: limits.gateLingerMs,
      onEnd: (ended) => {
        totals.tunnels--;
        if (network !== undefined) decrement(this.#tunnelsOf, network);
        if (tunnels.delete(ended) && tunnels.size === 0) this.#tunnels.delete(roomId);
      },
    });
    tunnels.add(tunnel);
    tunnel.start(first, waiting.takeBytes());
    // The one that went ahead found the owner well: the others follow.
    if (hold?.failedOwner === owner.processId) {
      hold.failedOwner = undefined;
      for (const other of [...hold.waiting]) this.#decide(other, { state: 'running', ...owner });
    }
  }

  /** Keeps it until somebody runs the room. @param failedOwner who was tried in vain */
  #hold(waiting: WaitingUpgrade, failedOwner?: string): void {
    if (waiting.isOver) return;
    if (this.#options.isHop(waiting.request)) {
      // Held by the gate in front already, which must hear that the room is not here.
      this.#refuse(waiting, 'ROOM_MOVING');
      return;
    }
    const { limits, totals } = this.#options;
    const { roomId } = waiting.target;
    let hold = this.#holds.get(roomId);
    if (hold === undefined) {
      hold = { waiting: new Set(), timer: undefined, failedOwner: undefined };
      this.#holds.set(roomId, hold);
    }
    hold.failedOwner = failedOwner ?? hold.failedOwner;
    hold.timer ??= setTimeout(() => this.#reask(roomId), limits.gateReaskMs);
    if (hold.waiting.has(waiting)) return;
    hold.waiting.add(waiting);
    totals.held++;
    waiting.heldSinceMs = performance.now();
    const leftMs = Math.max(0, waiting.sinceMs + limits.gateHoldMs - waiting.heldSinceMs);
    waiting.timer = setTimeout(() => this.#refuse(waiting, 'ROOM_MOVING', 'expired'), leftMs);
  }

  /** Announcements can be missed: while anybody waits for a room, the directory is asked again. */
  #reask(roomId: string): void {
    void this.#ask(roomId).then((place) => {
      const hold = this.#holds.get(roomId);
      if (hold === undefined) return;
      hold.timer = undefined;
      this.#release(roomId, hold, place);
    });
  }

  #release(roomId: string, hold: Hold, place: RoomPlace | 'away'): void {
    const isSuspect = place !== 'away' && place.state === 'running' && place.processId === hold.failedOwner;
    // An owner that did not answer is not asked by all of them at once again.
    for (const waiting of isSuspect ? [...hold.waiting].slice(0, 1) : [...hold.waiting]) this.#decide(waiting, place);
    if (this.#holds.get(roomId) !== hold) return;
    hold.timer ??= setTimeout(() => this.#reask(roomId), this.#options.limits.gateReaskMs);
  }

  #onOwner(roomId: string, owner: Owner): void {
    this.#remember(roomId, owner);
    const tunnels = this.#tunnels.get(roomId);
    if (tunnels !== undefined) {
      this.#cut(
        [...tunnels].filter(({ processId }) => processId !== owner.processId),
        'owner-changed',
      );
    }
    const hold = this.#holds.get(roomId);
    if (hold !== undefined) hold.failedOwner = undefined;
    for (const waiting of [...this.#waiting]) {
      if (waiting.target.roomId !== roomId) continue;
      if (waiting.dialling?.processId === owner.processId) continue;
      const wasDialling = waiting.stopDialling();
      if (wasDialling || hold?.waiting.has(waiting)) this.#decide(waiting, { state: 'running', ...owner });
    }
  }

  #onDeath(deadId: string): void {
    for (const tunnels of [...this.#tunnels.values()]) {
      this.#cut(
        [...tunnels].filter(({ processId }) => processId === deadId),
        'owner-died',
      );
    }
    for (const [roomId, { processId }] of this.#owners) if (processId === deadId) this.#owners.delete(roomId);
  }

  #cut(tunnels: Iterable<Tunnel>, reason: Exclude<CutReason, 'closing'>): void {
    for (const tunnel of [...tunnels]) {
      this.#options.totals.cuts[reason]++;
      tunnel.cut();
    }
  }

  #remember(roomId: string, { processId, host, port }: Owner): void {
    this.#owners.delete(roomId);
    this.#owners.set(roomId, { processId, host, port });
    if (this.#owners.size <= this.#options.limits.gateOwnersKeptMax) return;
    const [oldest] = this.#owners.keys();
    this.#owners.delete(oldest!);
  }

  #gone(waiting: WaitingUpgrade, isTooLarge: boolean): void {
    if (isTooLarge) {
      this.#refuse(waiting, 'TOO_LARGE', 'left');
      return;
    }
    const { socket } = waiting;
    this.#leave(waiting, 'left');
    socket.on('error', () => socket.destroy());
    socket.destroy();
  }

  #refuse(waiting: WaitingUpgrade, code: ErrorCode, outcome: HoldOutcome = 'refused'): void {
    if (waiting.isOver) return;
    this.#leave(waiting, outcome);
    this.#options.onRefusal(code);
    refuseUpgrade(waiting.socket, code);
  }

  /** It is decided: whoever called gives its socket to somebody. */
  #leave(waiting: WaitingUpgrade, outcome: HoldOutcome = 'released'): void {
    const { totals } = this.#options;
    const { roomId } = waiting.target;
    waiting.stopDialling();
    waiting.release();
    this.#waiting.delete(waiting);
    if (waiting.network !== undefined) decrement(this.#waitingOf, waiting.network);
    const hold = this.#holds.get(roomId);
    if (hold?.waiting.delete(waiting) !== true) return;
    totals.held--;
    totals.countHold(outcome, (performance.now() - waiting.heldSinceMs!) / 1000);
    if (hold.waiting.size > 0) return;
    clearTimeout(hold.timer);
    this.#holds.delete(roomId);
  }
}

/** The request once more, for the owner: as it came, but for what concerns this connection, and with a mark. */
function headFor({ url, rawHeaders, headers }: IncomingMessage, mark: string): Buffer {
  const lines = [`GET ${url} HTTP/1.1`];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!;
    if (!DROPPED_HEADERS.has(name.toLowerCase())) lines.push(`${name}: ${rawHeaders[at + 1]}`);
  }
  const scheme = headers['x-forwarded-proto'];
  if (scheme !== undefined) lines.push(`x-forwarded-proto: ${scheme}`);
  lines.push(`${HOP_HEADER}: ${mark}`, 'Connection: Upgrade', 'Upgrade: websocket', '', '');
  return Buffer.from(lines.join('\r\n'), 'latin1');
}

function decrement(counts: Map<string, number>, key: string): void {
  const left = (counts.get(key) ?? 1) - 1;
  if (left > 0) counts.set(key, left);
  else counts.delete(key);
}
