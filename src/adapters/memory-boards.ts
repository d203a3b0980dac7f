/** A leaderboard index in this process: ranks in O(log n), no store to ask. */
import { GameError } from '../kernel/errors.ts';
import type {
  BoardChange,
  BoardIndex,
  BoardPage,
  FeedMark,
  RankedEntry,
  SeasonKey,
} from '../leaderboards/board-index.ts';
import { RankedTree } from '../leaderboards/ranked-tree.ts';
import type { Entry } from '../leaderboards/scoring.ts';

/** One season of one board. */
class Ladder {
  readonly boardId: string;
  readonly seasonId: string;
  /** -1: more is better, so that the tree's ascending order is best first. */
  readonly #sign: 1 | -1;
  readonly #entries = new RankedTree();
  readonly #slots = new Map<string, number>();
  /** The different scores, for dense ranks, and how many have each. */
  readonly #scores = new RankedTree();
  readonly #levels = new Map<number, { readonly slot: number; players: number }>();

  constructor({ boardId, seasonId, order }: SeasonKey) {
    this.boardId = boardId;
    this.seasonId = seasonId;
    this.#sign = order === 'descending' ? -1 : 1;
  }

  get players(): number {
    return this.#entries.size;
  }

  set({ playerId, score, achieved }: BoardChange): void {
    const slot = this.#slots.get(playerId);
    if (slot !== undefined) {
      this.#leave(this.#entries.keyOf(slot));
      this.#entries.remove(slot);
    }
    if (score === undefined) {
      this.#slots.delete(playerId);
      return;
    }
    const key = score * this.#sign;
    this.#slots.set(playerId, this.#entries.add(key, achieved, playerId));
    const level = this.#levels.get(key);
    if (level !== undefined) level.players++;
    else this.#levels.set(key, { slot: this.#scores.add(key, 0, ''), players: 1 });
  }

  #leave(key: number): void {
    const level = this.#levels.get(key)!;
    if (--level.players > 0) return;
    this.#scores.remove(level.slot);
    this.#levels.delete(key);
  }

  slotOf(playerId: string): number | undefined {
    return this.#slots.get(playerId);
  }

  placeOf({ score, achieved, playerId }: Entry): number {
    return this.#entries.placeOf(score * this.#sign, achieved, playerId);
  }

  placeOfSlot(slot: number): number {
    const tree = this.#entries;
    return tree.placeOf(tree.keyOf(slot), tree.achievedOf(slot), tree.idOf(slot));
  }

  /** Entries from a place on. */
  slice(from: number, limit: number): RankedEntry[] {
    const end = Math.min(from + limit, this.players);
    const entries: RankedEntry[] = [];
    for (let place = Math.max(0, from); place < end; place++) entries.push(this.entry(this.#entries.at(place)));
    return entries;
  }

  entry(slot: number): RankedEntry {
    const key = this.#entries.keyOf(slot);
    return {
      playerId: this.#entries.idOf(slot),
      score: key * this.#sign + 0,
      achieved: this.#entries.achievedOf(slot),
      rank: this.#scores.placeOf(key, 0, '') + 1,
    };
  }
}

export class MemoryBoards implements BoardIndex {
  readonly #orderOf: (boardId: string) => SeasonKey['order'] | undefined;
  #ladders = new Map<string, Ladder>();
  readonly #oldest = new Map<string, string>();
  #mark: FeedMark | undefined;

  /** @param orderOf order of a declared board; changes of others are passed over */
  constructor(orderOf: (boardId: string) => SeasonKey['order'] | undefined) {
    this.#orderOf = orderOf;
  }

  async page(key: SeasonKey, after: Entry | undefined, limit: number): Promise<BoardPage> {
    const ladder = this.#ladder(key);
    const position = this.#mark!.position;
    if (ladder === undefined) return { entries: [], players: 0, position };
    let from = 0;
    if (after !== undefined) {
      from = ladder.placeOf(after);
      const [there] = ladder.slice(from, 1);
      if (there?.playerId === after.playerId && there.score === after.score && there.achieved === after.achieved)
        from++;
    }
    return { entries: ladder.slice(from, limit), players: ladder.players, position };
  }

  async around(key: SeasonKey, playerId: string, before: number, after: number) {
    const ladder = this.#ladder(key);
    const slot = ladder?.slotOf(playerId);
    if (ladder === undefined || slot === undefined) return undefined;
    const place = ladder.placeOfSlot(slot);
    const from = Math.max(0, place - before);
    return ladder.slice(from, place - from + 1 + after);
  }

  async of(key: SeasonKey, playerIds: readonly string[]): Promise<readonly RankedEntry[]> {
    const ladder = this.#ladder(key);
    if (ladder === undefined) return [];
    const slots = [...new Set(playerIds)].flatMap((id) => ladder.slotOf(id) ?? []);
    return slots
      .map((slot) => ({ place: ladder.placeOfSlot(slot), slot }))
      .sort((a, b) => a.place - b.place)
      .map(({ slot }) => ladder.entry(slot));
  }

  async mark(): Promise<FeedMark | undefined> {
    return this.#mark;
  }

  async apply(
    from: FeedMark | undefined,
    changes: readonly BoardChange[],
    to: FeedMark,
    oldest: ReadonlyMap<string, string>,
  ): Promise<boolean> {
    const mark = this.#mark;
    if (mark?.generation !== from?.generation || mark?.after !== from?.after) return false;
    for (const [boardId, seasonId] of oldest) this.#retire(boardId, seasonId);
    for (const change of changes) {
      if (!this.#isKept(change)) continue;
      const name = nameOf(change);
      let ladder = this.#ladders.get(name);
      if (ladder === undefined) {
        const order = this.#orderOf(change.boardId);
        if (order === undefined) continue;
        ladder = new Ladder({ ...change, order });
        this.#ladders.set(name, ladder);
      }
      ladder.set(change);
    }
    this.#mark = to;
    return true;
  }

  async reset(generation: string): Promise<void> {
    if (this.#mark?.generation !== generation) return;
    this.#ladders = new Map();
    this.#oldest.clear();
    this.#mark = undefined;
  }

  #retire(boardId: string, seasonId: string): void {
    const known = this.#oldest.get(boardId);
    if (known !== undefined && known >= seasonId) return;
    this.#oldest.set(boardId, seasonId);
    for (const [name, ladder] of this.#ladders) {
      if (ladder.boardId === boardId && ladder.seasonId < seasonId) this.#ladders.delete(name);
    }
  }

  #isKept({ boardId, seasonId }: { readonly boardId: string; readonly seasonId: string }): boolean {
    const oldest = this.#oldest.get(boardId);
    return oldest !== undefined && seasonId >= oldest;
  }

  #ladder(key: SeasonKey): Ladder | undefined {
    const refuse = (reason: string) => new GameError('STORE_UNAVAILABLE', { store: 'boards', reason });
    if (this.#mark?.isReady !== true) throw refuse('loading');
    if (!this.#isKept(key)) throw refuse('retired');
    return this.#ladders.get(nameOf(key));
  }
}

function nameOf({ boardId, seasonId }: { readonly boardId: string; readonly seasonId: string }): string {
  return `${boardId}/${seasonId}`;
}
