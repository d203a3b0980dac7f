/**
 * What a BoardReader and a BoardIndex are. Every adapter runs the first suite, indexes also the second; they are the
 * ports' definition. The model is a sorted array.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { GameError } from '../../src/kernel/errors.ts';
import type {
  BoardChange,
  BoardIndex,
  BoardReader,
  FeedMark,
  RankedEntry,
  SeasonKey,
} from '../../src/leaderboards/board-index.ts';
import { compareEntries, type Entry } from '../../src/leaderboards/scoring.ts';

export const KEYS: readonly SeasonKey[] = [
  { boardId: 'high', seasonId: '2026-11-23', order: 'descending' },
  { boardId: 'low', seasonId: 'all', order: 'ascending' },
];
export const OLDEST: ReadonlyMap<string, string> = new Map([
  ['high', '2026-11-16'],
  ['low', 'all'],
]);
const orders = new Map(KEYS.map(({ boardId, order }) => [boardId, order]));
export const orderOf = (boardId: string) => orders.get(boardId);

export interface ReaderHarness {
  readonly reader: BoardReader;
  /** Makes the entries so, whatever they were. */
  write(changes: readonly BoardChange[]): Promise<void>;
  dispose(): Promise<void>;
}

export interface IndexHarness {
  readonly index: BoardIndex;
  dispose(): Promise<void>;
}

/** The same answers by sorting. */
class Model {
  readonly #entries = new Map<string, Entry>();
  readonly #key: SeasonKey;

  constructor(key: SeasonKey) {
    this.#key = key;
  }

  write({ playerId, score, achieved }: BoardChange): void {
    if (score === undefined) this.#entries.delete(playerId);
    else this.#entries.set(playerId, { playerId, score, achieved });
  }

  get all(): RankedEntry[] {
    const sorted = [...this.#entries.values()].sort((a, b) => compareEntries(this.#key.order, a, b));
    const scores = [...new Set(sorted.map(({ score }) => score))];
    return sorted.map((entry) => ({ ...entry, rank: scores.indexOf(entry.score) + 1 }));
  }

  page(after: Entry | undefined, limit: number): RankedEntry[] {
    const { all } = this;
    return (after === undefined ? all : all.filter((entry) => compareEntries(this.#key.order, after, entry) < 0)).slice(
      0,
      limit,
    );
  }

  around(playerId: string, before: number, after: number): RankedEntry[] | undefined {
    const { all } = this;
    const at = all.findIndex((entry) => entry.playerId === playerId);
    return at < 0 ? undefined : all.slice(Math.max(0, at - before), at + after + 1);
  }
}

const player = fc.integer({ min: 0, max: 25 }).map((n) => `a-${String(n).padStart(22, n % 2 === 0 ? '_' : 'Z')}`);
const score = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: -3, max: 6 }) },
  { weight: 1, arbitrary: fc.constantFrom(Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 2 ** 53 - 2, 0) },
);
const write = fc.record({
  key: fc.constantFrom(...KEYS),
  playerId: player,
  score: fc.option(score, { nil: undefined, freq: 6 }),
  // Several entries of one event, as of a match: its position and the order of ids decide.
  isSameEvent: fc.boolean(),
});

type Write = typeof write extends fc.Arbitrary<infer Value> ? Value : never;

function changesOf(writes: readonly Write[]): BoardChange[] {
  let position = 9_999_999;
  return writes.map(({ key, playerId, score, isSameEvent }) => {
    if (!isSameEvent) position++;
    return { boardId: key.boardId, seasonId: key.seasonId, playerId, score, achieved: position };
  });
}

export function boardReaderContract(adapter: string, create: () => Promise<ReaderHarness>): void {
  describe(`BoardReader contract: ${adapter}`, () => {
    let harness: ReaderHarness;
    let reader: BoardReader;
    const [high, low] = KEYS as [SeasonKey, SeasonKey];
    const change = (key: SeasonKey, playerId: string, score: number | undefined, achieved: number): BoardChange => ({
      boardId: key.boardId,
      seasonId: key.seasonId,
      playerId,
      score,
      achieved,
    });

    beforeEach(async () => {
      harness = await create();
      reader = harness.reader;
    });
    afterEach(() => harness.dispose());

    it('answers for an empty season with nothing', async () => {
      await harness.write([]);
      const { entries, players } = await reader.page(high, undefined, 10);
      assert.deepEqual([entries, players], [[], 0]);
      assert.equal(await reader.around(high, 'a-nobody', 2, 2), undefined);
      assert.deepEqual(await reader.of(high, ['a-nobody']), []);
    });

    it('gives equal scores one rank, the next score the next rank, and puts first who was there first, then by id', async () => {
      await harness.write([
        change(high, 'late', 7, 12),
        change(high, 'b', 7, 11),
        change(high, 'a', 7, 11),
        change(high, 'Z', 7, 11),
        change(high, 'best', 9, 13),
        change(high, 'last', -1, 10),
      ]);
      const { entries } = await reader.page(high, undefined, 10);
      assert.deepEqual(
        entries.map(({ playerId, rank }) => [playerId, rank]),
        [
          ['best', 1],
          ['Z', 2],
          ['a', 2],
          ['b', 2],
          ['late', 2],
          ['last', 3],
        ],
      );
    });

    it('ranks small scores first where less is better', async () => {
      await harness.write([change(low, 'slow', 900, 1), change(low, 'fast', -5, 2), change(low, 'same', -5, 3)]);
      const { entries } = await reader.page(low, undefined, 10);
      assert.deepEqual(
        entries.map(({ playerId, score, rank }) => [playerId, score, rank]),
        [
          ['fast', -5, 1],
          ['same', -5, 1],
          ['slow', 900, 2],
        ],
      );
    });

    it('keeps the largest and smallest scores exact and apart from their neighbours', async () => {
      const most = Number.MAX_SAFE_INTEGER;
      await harness.write([change(high, 'a', most - 1, 1), change(high, 'b', most, 2), change(high, 'c', -most, 3)]);
      const { entries } = await reader.page(high, undefined, 10);
      assert.deepEqual(
        entries.map(({ score, rank }) => [score, rank]),
        [
          [most, 1],
          [most - 1, 2],
          [-most, 3],
        ],
      );
    });

    it('shows an entry that stays where it is exactly once, whatever others do between the pages', async () => {
      const id = (n: number) => `p${String(n).padStart(2, '0')}`;
      await harness.write(Array.from({ length: 30 }, (_, n) => change(high, id(n), 100 - n, n + 1)));
      const seen: string[] = [];
      let after: Entry | undefined;
      for (let page = 0; ; page++) {
        const { entries } = await reader.page(high, after, 5);
        if (entries.length === 0) break;
        seen.push(...entries.map(({ playerId }) => playerId));
        after = entries.at(-1)!;
        // The last one shown goes to the top or away, a new one comes before, one of those to come moves up.
        await harness.write([
          change(high, after.playerId, page % 2 === 0 ? 200 : undefined, 100 + page * 3),
          change(high, `new${page}`, 150, 101 + page * 3),
          change(high, id(29 - page), 300, 102 + page * 3),
        ]);
      }
      const stayed = Array.from({ length: 24 }, (_, n) => id(n)).filter((_, n) => n % 5 !== 4);
      for (const playerId of stayed) assert.equal(seen.filter((each) => each === playerId).length, 1, playerId);
      assert.equal(new Set(seen).size, seen.length);
    });

    it('takes hostile names as names', async () => {
      const names = [`'; drop table board_entries; --`, 'a:b:c', '{x}', '%s$1\\', '*?[a]', '-', '0000000000000001:a'];
      await harness.write(names.map((name, n) => change(high, name, n, n + 1)));
      const { entries } = await reader.page(high, undefined, 20);
      assert.deepEqual(entries.map(({ playerId }) => playerId).sort(), [...names].sort());
      for (const name of names) assert.equal((await reader.around(high, name, 0, 0))?.[0]?.playerId, name);
      assert.equal((await reader.of(high, names)).length, names.length);
      assert.equal(await reader.around(high, `' or true --`, 1, 1), undefined);
    });

    it('answers every question as sorting would, after any writes', async () => {
      const achieved = fc.integer({ min: 9_999_999, max: 10_000_030 });
      await fc.assert(
        fc.asyncProperty(
          fc.array(write, { minLength: 1, maxLength: 60 }),
          fc.record({ playerId: player, score, achieved }),
          fc.integer({ min: 1, max: 12 }),
          fc.integer({ min: 0, max: 4 }),
          fc.array(player, { maxLength: 8 }),
          async (writes, elsewhere, limit, reach, friends) => {
            const changes = changesOf(writes);
            await harness.write(changes);
            for (const key of KEYS) {
              const model = new Model(key);
              for (const each of changes) if (each.boardId === key.boardId) model.write(each);
              const top = await reader.page(key, undefined, limit);
              assert.deepEqual(top.entries, model.page(undefined, limit));
              assert.equal(top.players, model.all.length);
              for (const after of [elsewhere, ...model.all.slice(0, 3)]) {
                assert.deepEqual((await reader.page(key, after, limit)).entries, model.page(after, limit));
              }
              for (const playerId of friends.slice(0, 2)) {
                assert.deepEqual(
                  await reader.around(key, playerId, reach, reach + 1),
                  model.around(playerId, reach, reach + 1),
                );
              }
              const wanted = new Set(friends);
              assert.deepEqual(
                await reader.of(key, friends),
                model.all.filter(({ playerId }) => wanted.has(playerId)),
              );
            }
            // Each run begins with an empty board.
            await harness.write(changes.map((each) => ({ ...each, score: undefined })));
          },
        ),
        { seed: 20261123, numRuns: 40 },
      );
    });
  });
}

export function boardIndexContract(adapter: string, create: () => Promise<IndexHarness>): void {
  describe(`BoardIndex contract: ${adapter}`, () => {
    let harness: IndexHarness;
    let index: BoardIndex;
    const [high] = KEYS as [SeasonKey, SeasonKey];
    const mark = (after: string, position: number, isReady = true, generation = 'g1'): FeedMark => ({
      generation,
      after,
      position,
      isReady,
    });
    const one = (playerId: string, score: number | undefined, achieved: number, seasonId = high.seasonId) => ({
      boardId: high.boardId,
      seasonId,
      playerId,
      score,
      achieved,
    });
    const isRefused = (error: unknown) => error instanceof GameError && error.code === 'STORE_UNAVAILABLE';

    beforeEach(async () => {
      harness = await create();
      index = harness.index;
    });
    afterEach(() => harness.dispose());

    it('refuses questions while it is empty or being filled, and answers once it is ready', async () => {
      assert.equal(await index.mark(), undefined);
      await assert.rejects(index.page(high, undefined, 5), isRefused);
      const half = mark('1', 0, false);
      assert.equal(await index.apply(undefined, [one('a', 5, 1)], half, OLDEST), true);
      await assert.rejects(index.page(high, undefined, 5), isRefused);
      await assert.rejects(index.around(high, 'a', 1, 1), isRefused);
      await assert.rejects(index.of(high, ['a']), isRefused);
      assert.equal(await index.apply(half, [one('b', 6, 2)], mark('2', 2), OLDEST), true);
      const { entries, position } = await index.page(high, undefined, 5);
      assert.deepEqual([entries.map(({ playerId }) => playerId), position], [['b', 'a'], 2]);
      assert.deepEqual(await index.mark(), mark('2', 2));
    });

    it('writes nothing for a feeder that did not know where it stands', async () => {
      assert.equal(await index.apply(undefined, [one('a', 5, 1)], mark('1', 1), OLDEST), true);
      for (const from of [undefined, mark('0', 1), mark('1', 1, true, 'g2')]) {
        assert.equal(await index.apply(from, [one('a', 9, 2)], mark('2', 2), OLDEST), false);
      }
      assert.deepEqual(await index.mark(), mark('1', 1));
      assert.equal((await index.page(high, undefined, 5)).entries[0]?.score, 5);
    });

    it('comes to the same when two feeders bring the same changes at once', async () => {
      const changes = Array.from({ length: 50 }, (_, n) => one(`p${n % 7}`, n % 5, n + 1));
      const feed = async (): Promise<void> => {
        for (let at = await index.mark(); Number(at?.after ?? '0') < changes.length; ) {
          const from = Number(at?.after ?? '0');
          const to = mark(String(from + 5), from + 5);
          at = (await index.apply(at, changes.slice(from, from + 5), to, OLDEST)) ? to : await index.mark();
        }
      };
      await Promise.all([feed(), feed(), feed()]);
      const model = new Model(high);
      for (const each of changes) model.write(each);
      assert.deepEqual((await index.page(high, undefined, 100)).entries, model.all);
    });

    it('forgets a generation when told, and only that one', async () => {
      await index.apply(undefined, [one('a', 5, 1)], mark('1', 1), OLDEST);
      await index.reset('g0');
      assert.deepEqual(await index.mark(), mark('1', 1));
      await index.reset('g1');
      assert.equal(await index.mark(), undefined);
      await assert.rejects(index.page(high, undefined, 5), isRefused);
      await index.apply(undefined, [one('b', 1, 1)], mark('1', 1, true, 'g2'), OLDEST);
      const { entries, players } = await index.page(high, undefined, 5);
      assert.deepEqual([entries.map(({ playerId }) => playerId), players], [['b'], 1]);
    });

    it('keeps a window of seasons that only moves on, and refuses what lies before it', async () => {
      const old = { ...high, seasonId: '2026-11-16' };
      await index.apply(undefined, [one('a', 5, 1, old.seasonId), one('a', 6, 2)], mark('1', 2), OLDEST);
      assert.equal((await index.page(old, undefined, 5)).players, 1);
      const moved = new Map([...OLDEST, ['high', '2026-11-23']]);
      await index.apply(mark('1', 2), [], mark('2', 3), moved);
      await assert.rejects(index.page(old, undefined, 5), isRefused);
      // One whose clock is behind does not bring it back, half of it.
      await index.apply(mark('2', 3), [one('b', 7, 4, old.seasonId)], mark('3', 4), OLDEST);
      await assert.rejects(index.page(old, undefined, 5), isRefused);
      assert.equal((await index.page(high, undefined, 5)).players, 1);
      await assert.rejects(index.page({ ...high, boardId: 'unknown' }, undefined, 5), isRefused);
    });
  });
}
