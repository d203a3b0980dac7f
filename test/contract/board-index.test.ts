import { randomUUID } from 'node:crypto';
import { MemoryBoards } from '../../src/adapters/memory-boards.ts';
import { PostgresBoards } from '../../src/adapters/postgres-boards.ts';
import { RedisBoards } from '../../src/adapters/redis-boards.ts';
import { freshDatabase } from '../fixtures/database.ts';
import { RedisServer } from '../fixtures/redis-server.ts';
import {
  boardIndexContract,
  boardReaderContract,
  type IndexHarness,
  OLDEST,
  orderOf,
  type ReaderHarness,
} from './board-index.contract.ts';

function reading({ index, dispose }: IndexHarness): ReaderHarness {
  let count = 0;
  return {
    reader: index,
    async write(changes) {
      const to = { generation: 'g', after: String(++count), position: count, isReady: true };
      await index.apply(await index.mark(), changes, to, OLDEST);
    },
    dispose,
  };
}

const inMemory = async (): Promise<IndexHarness> => ({
  index: new MemoryBoards(orderOf),
  dispose: async () => undefined,
});

describe('leaderboards in memory', () => {
  boardReaderContract('memory', async () => reading(await inMemory()));
  boardIndexContract('memory', inMemory);
});

describe('leaderboards in Redis', () => {
  let redis: RedisServer;
  before(async () => {
    redis = await RedisServer.start();
  });
  after(() => redis.stop());

  const inRedis = async (): Promise<IndexHarness> => {
    const index = await RedisBoards.open({
      url: redis.url,
      prefix: `${randomUUID()}[*]:`,
      orderOf,
    });
    return { index, dispose: () => index.close() };
  };
  boardReaderContract('Redis', async () => reading(await inRedis()));
  boardIndexContract('Redis', inRedis);
});

describe('leaderboards in PostgreSQL', () => {
  boardReaderContract('PostgreSQL', async () => {
    const { database, drop } = await freshDatabase();
    return {
      reader: new PostgresBoards(database),
      async write(changes) {
        for (const { boardId, seasonId, playerId, score, achieved } of changes) {
          const key = score === undefined ? 0 : orderOf(boardId) === 'descending' ? -score : score;
          await database.query(
            `insert into board_entries values ($1, $2, $3, $4, $5, $6, $6)
             on conflict (board_id, season_id, player_id) do update set score = $4, sort_key = $5, achieved = $6`,
            [boardId, seasonId, playerId, score ?? null, key, achieved],
          );
        }
      },
      dispose: drop,
    };
  });
});
