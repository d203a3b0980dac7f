/** {@link ClusterStore} of a process that is alone: it knows its own rooms, and nobody else is there. */
import type {
  BeatReply,
  ClusterNews,
  ClusterStore,
  Heartbeat,
  ProcessAnswer,
  ProcessRequest,
  StoredRoom,
} from '../cluster/cluster-store.ts';
import type { ProcessCard, RoomOwner, RoomRecord } from '../cluster/directory.ts';
import { GameError } from '../kernel/errors.ts';

/** Parked rooms whose place is told. Above: the oldest is forgotten. */
const PARKED_MAX = 10_000;

export class MemoryCluster implements ClusterStore {
  readonly #processes = new Map<string, Heartbeat>();
  readonly #rooms = new Map<string, StoredRoom>();
  readonly #parked = new Set<string>();
  readonly #news: ((news: ClusterNews) => void)[] = [];

  async beat(heartbeat: Heartbeat): Promise<BeatReply> {
    const wasKnown = this.#processes.has(heartbeat.card.processId);
    this.#processes.set(heartbeat.card.processId, heartbeat);
    return { generation: '1', wasKnown, processes: [...this.#processes.values()] };
  }

  async processes(): Promise<readonly Heartbeat[]> {
    return [...this.#processes.values()];
  }

  async listeners(processIds: readonly string[]): Promise<readonly number[]> {
    return processIds.map((processId) => (this.#processes.has(processId) ? 1 : 0));
  }

  async bury(processId: string, beat: number): Promise<boolean> {
    if (this.#processes.get(processId)?.beat !== beat) return false;
    await this.leave(processId);
    return true;
  }

  async leave(processId: string): Promise<void> {
    this.#processes.delete(processId);
    this.#tell({ kind: 'gone', processId });
  }

  async owners(): Promise<readonly string[]> {
    return [...new Set(this.#unparked().map(({ processId }) => processId))];
  }

  async roomsOf(processId: string): Promise<readonly StoredRoom[]> {
    return this.#unparked().filter((room) => room.processId === processId);
  }

  async room(roomId: string): Promise<{ room: StoredRoom; card: ProcessCard | undefined } | undefined> {
    const room = this.#rooms.get(roomId);
    return room && { room, card: this.#processes.get(room.processId)?.card };
  }

  async begin(room: RoomRecord): Promise<number | undefined> {
    const old = this.#rooms.get(room.roomId);
    if (old !== undefined && (old.state !== 'creating' || old.processId === room.processId)) return undefined;
    const epoch = (old?.epoch ?? 0) + 1;
    this.#rooms.set(room.roomId, { ...room, epoch, state: 'creating' });
    return epoch;
  }

  async put(room: StoredRoom, owner: RoomOwner): Promise<boolean> {
    const { roomId, epoch, processId, state } = room;
    const old = this.#rooms.get(roomId);
    if (old !== undefined && (old.epoch > epoch || (old.epoch === epoch && old.processId !== processId))) return false;
    this.#rooms.set(roomId, room);
    if (state === 'parked') this.#park(roomId);
    if (state === 'running' && !(old?.state === 'running' && old.processId === processId)) {
      this.#tell({ kind: 'owner', roomId, owner });
    }
    return true;
  }

  async release(roomId: string, processId: string, epoch: number): Promise<void> {
    const old = this.#rooms.get(roomId);
    if (old?.processId === processId && old.epoch === epoch && old.state !== 'parked') this.#rooms.delete(roomId);
  }

  onNews(listener: (news: ClusterNews) => void): void {
    this.#news.push(listener);
  }

  onRequest(_answer: (request: ProcessRequest) => Promise<ProcessAnswer> | undefined): void {
    // Nobody asks.
  }

  async ask(processId: string, _request: ProcessRequest, _timeoutMs: number): Promise<ProcessAnswer> {
    throw new GameError('STORE_UNAVAILABLE', { store: 'memory', reason: `nobody listens as process ${processId}` });
  }

  onLost(_listener: () => void): void {
    // Memory does not go away.
  }

  async close(): Promise<void> {
    this.#news.length = 0;
  }

  #unparked(): StoredRoom[] {
    return [...this.#rooms.values()].filter(({ state }) => state !== 'parked');
  }

  #park(roomId: string): void {
    this.#parked.add(roomId);
    if (this.#parked.size <= PARKED_MAX) return;
    const [oldest] = this.#parked;
    this.#parked.delete(oldest!);
    this.#rooms.delete(oldest!);
  }

  #tell(news: ClusterNews): void {
    for (const listener of this.#news) listener(news);
  }
}
