import { playWhileDatabaseIsAway } from '../fixtures/database-away.ts';
import { type PrivatePostgres, privatePostgres } from '../fixtures/postgres-server.ts';

describe('a match whose database dies', function () {
  this.timeout(60_000);
  let postgres: PrivatePostgres;

  before(async () => {
    postgres = await privatePostgres();
  });
  after(() => postgres.drop());

  it('goes on and ends; its result waits and arrives once; HTTP refuses by code meanwhile', () =>
    playWhileDatabaseIsAway(postgres, { how: 'dead', liveTicks: 90, awayMs: 0 }));
});
