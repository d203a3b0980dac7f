import { playWhileDatabaseIsAway } from '../fixtures/database-away.ts';
import { type PrivatePostgres, privatePostgres } from '../fixtures/postgres-server.ts';

describe('a match whose database is away for 30 s', function () {
  this.timeout(180_000);
  let postgres: PrivatePostgres;

  beforeEach(async () => {
    postgres = await privatePostgres({ isDurable: true });
  });
  afterEach(() => postgres.drop());

  for (const how of ['dead', 'hung'] as const) {
    it(`goes on and ends, and its result arrives once, if the database is ${how}`, () =>
      playWhileDatabaseIsAway(postgres, { how, liveTicks: 600, awayMs: 30_000 }));
  }
});
