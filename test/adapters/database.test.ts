import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { Database } from '../../src/adapters/database.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { type FreshDatabase, freshDatabase, type PrivatePostgres, privatePostgres } from '../fixtures/database.ts';
import { childrenOf } from '../fixtures/postgres-server.ts';

const isUnavailable =
  (outcome?: string) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof GameError, String(error));
    assert.equal(error.code, 'DATABASE_UNAVAILABLE');
    if (outcome !== undefined) assert.equal(error.detail['outcome'], outcome);
    return true;
  };

/** Asks until the database answers. */
async function untilBack(database: Database): Promise<void> {
  for (const endMs = performance.now() + 10_000; ; ) {
    try {
      await database.query('select 1');
      return;
    } catch (error) {
      isUnavailable()(error);
      if (performance.now() > endMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

describe('database', () => {
  let fresh: FreshDatabase;
  let database: Database;

  before(async () => {
    fresh = await freshDatabase({ connectionsMax: 2, queueMax: 3, timeoutMs: 5_000 });
    ({ database } = fresh);
    await database.query('create table coin (id bigint generated always as identity primary key, side text unique)');
  });

  after(() => fresh.drop());

  beforeEach(() => database.query('truncate coin'));

  const sides = async (): Promise<string[]> => {
    const { rows } = await database.query<{ side: string }>('select side from coin order by side');
    return rows.map(({ side }) => side);
  };

  it('gives int8 as exact numbers, and refuses one that would not be', async () => {
    const { rows } = await database.query(`select 9007199254740991::int8 as most, array[1, null, 3]::int8[] as list`);
    assert.deepEqual(rows, [{ most: Number.MAX_SAFE_INTEGER, list: [1, null, 3] }]);
    await assert.rejects(database.query('select 9007199254740992::int8 as more'), RangeError);
    assert.deepEqual(await sides(), [], 'the connection is good afterwards');
  });

  it('commits a transaction whose work resolves and undoes one whose work rejects', async () => {
    const id = await database.transaction(async (tx) => {
      const { rows } = await tx.query<{ id: number }>(`insert into coin (side) values ('head') returning id`);
      return rows[0]!.id;
    });
    assert.equal(typeof id, 'number');
    const bug = new Error('changed my mind');
    const work = database.transaction(async (tx) => {
      await tx.query(`insert into coin (side) values ('tail')`);
      throw bug;
    });
    await assert.rejects(work, bug);
    assert.deepEqual(await sides(), ['head']);
  });

  it('gives the connection of a failed transaction to the next one clean', async () => {
    for (let n = 0; n < 5; n++) {
      await assert.rejects(
        database.transaction((tx) => tx.query('select * from nowhere')),
        { code: '42P01' },
      );
      assert.deepEqual(await sides(), []);
    }
    assert.equal(database.guard.state, 'closed');
  });

  it('sees one moment in a repeatable read, and writes nothing in a read-only transaction', async () => {
    await database.transaction(
      async (tx) => {
        assert.equal((await tx.query('select * from coin')).rowCount, 0);
        await database.query(`insert into coin (side) values ('edge')`);
        assert.equal((await tx.query('select * from coin')).rowCount, 0);
      },
      { isolation: 'repeatable read', isReadOnly: true },
    );
    const write = database.transaction((tx) => tx.query(`insert into coin (side) values ('x')`), { isReadOnly: true });
    await assert.rejects(write, { code: '25006' });
  });

  it('cuts off a transaction that runs out of time, undoes it and throws its connection away', async () => {
    const slow = database.transaction(
      async (tx) => {
        await tx.query(`insert into coin (side) values ('late')`);
        await tx.query('select pg_sleep(60)');
      },
      { timeoutMs: 50 },
    );
    await assert.rejects(slow, isUnavailable('unknown'));
    assert.deepEqual(await sides(), []);
    // The server has let go of it too: the unique value is free.
    await database.query(`insert into coin (side) values ('late')`);
  });

  it('refuses what it cannot take in its queue', async () => {
    const gate = new AbortController();
    const wait = (): Promise<void> =>
      database.transaction(async () => {
        if (!gate.signal.aborted) await once(gate.signal, 'abort');
      });
    const accepted = [1, 2, 3, 4, 5].map(wait);
    await assert.rejects(database.query('select 1'), { code: 'OVERLOADED' });
    gate.abort();
    await Promise.all(accepted);
    await database.query('select 1');
  });

  it('keeps SQL in values for what it is: text', async () => {
    const hostile = [`'; drop table coin; --`, '$1', '\\', 'a\u2028b', '"', '‮', `E'\\x00'`];
    for (const side of hostile) await database.query('insert into coin (side) values ($1)', [side]);
    assert.deepEqual(new Set(await sides()), new Set(hostile));
  });

  it('says that a password or name is wrong in one line, and gives the database no more', async () => {
    const open = Database.open({ url: fresh.url.replace(/:[^:@]+@/, ':wrong@') });
    await assert.rejects(open, isUnavailable('none'));
    await assert.rejects(
      Database.open({ url: fresh.url.replace(/\/test_\d+/, '/nowhere') }),
      /"nowhere\\" does not exist/,
    );
    await assert.rejects(Database.open({ url: 'postgres://a:b@127.0.0.1:1/x' }), /ECONNREFUSED/);
  });

  it('refuses a PostgreSQL older than 15', async () => {
    const old = await serveVersion('140012');
    try {
      const { port } = old.address() as { port: number };
      const open = Database.open({ url: `postgres://a:b@127.0.0.1:${port}/x` });
      await assert.rejects(open, { code: 'DATABASE_TOO_OLD', detail: { version: 14, wanted: 15 } });
    } finally {
      old.close();
    }
  });

  it('survives a server that ends in the moment in which it lets us in', async () => {
    const dying = await serveVersion('180000', 'terminating connection due to unexpected postmaster exit');
    try {
      const { port } = dying.address() as { port: number };
      await assert.rejects(Database.open({ url: `postgres://a:b@127.0.0.1:${port}/x` }), isUnavailable());
    } finally {
      dying.close();
    }
  });

  it('accepts PostgreSQL 15', async () => {
    const server = await privatePostgres({ major: 15 });
    try {
      const old = await Database.open({ url: server.url });
      const { rows } = await old.query<{ v: string }>(`select current_setting('server_version_num') as v`);
      assert.match(rows[0]!.v, /^15/);
      await old.close();
    } finally {
      await server.drop();
    }
  });

  describe('when the server goes away', () => {
    let server: PrivatePostgres;
    let remote: Database;

    before(async () => {
      server = await privatePostgres({ isDurable: true });
      remote = await Database.open({
        url: server.url,
        connectionsMax: 3,
        timeoutMs: 1_000,
        connectTimeoutMs: 500,
        failuresToOpen: 3,
        halfOpenAfterMs: 50,
      });
      await remote.query('create table fact (id int primary key)');
    });

    after(async () => {
      await remote.close();
      await server.drop();
    });

    afterEach(async () => {
      await server.start();
      await untilBack(remote);
    });

    it('answers work under way and new work with a code, and works again when it is back', async () => {
      const inside = Promise.withResolvers<void>();
      const cut = remote.transaction(async (tx) => {
        await tx.query('insert into fact values (1)');
        inside.resolve();
        await tx.query('select pg_sleep(60)');
      });
      const refused = assert.rejects(cut, isUnavailable('unknown'));
      await inside.promise;
      await server.kill9();
      await refused;
      for (let n = 0; n < 5; n++) await assert.rejects(remote.query('select 1'), isUnavailable());
      assert.equal(remote.guard.state, 'open');
      await server.start();
      await untilBack(remote);
      assert.equal((await remote.query('select * from fact')).rowCount, 0);
      assert.equal(remote.guard.state, 'closed');
    });

    it('says that nothing was done when it was not even reached', async () => {
      await server.stop();
      await assert.rejects(remote.query('select 1'), isUnavailable());
      await assert.rejects(remote.query('insert into fact values (2)'), isUnavailable('none'));
      await assert.rejects(remote.connect('test'), isUnavailable('none'));
    });

    it('does not wait for one that is frozen', async () => {
      const pids = [server.pid!, ...(await childrenOf(server.pid!))];
      for (const pid of pids) process.kill(pid, 'SIGSTOP');
      try {
        await assert.rejects(remote.query('select 1'), isUnavailable('unknown'));
      } finally {
        for (const pid of pids) process.kill(pid, 'SIGCONT');
      }
    });

    it('survives the end of idle connections', async () => {
      await Promise.all([remote.query('select 1'), remote.query('select 1')]);
      await server.stop();
      await server.start();
      await untilBack(remote);
    });
  });
});

/** Speaks just enough of the protocol to say which version it is, or its last words right behind its first ones. */
async function serveVersion(version: string, lastWords?: string): Promise<Server> {
  const message = (type: string, body: Buffer): Buffer => {
    const head = Buffer.alloc(5);
    head.write(type, 'latin1');
    head.writeInt32BE(body.length + 4, 1);
    return Buffer.concat([head, body]);
  };
  const ready = message('Z', Buffer.from('I'));
  const column = Buffer.concat([
    Buffer.from('version\0'),
    Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0]),
  ]);
  const row = Buffer.concat([Buffer.from([0, 1, 0, 0, 0, version.length]), Buffer.from(version)]);
  const server = createServer((socket) => {
    let isGreeted = false;
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      if (!isGreeted) {
        isGreeted = true;
        const fatal = `SFATAL\0C57P01\0M${lastWords}\0\0`;
        const last = lastWords === undefined ? [] : [message('E', Buffer.from(fatal))];
        socket.write(Buffer.concat([message('R', Buffer.alloc(4)), ready, ...last]));
        if (lastWords !== undefined) socket.end();
      } else if (data[0] === 'Q'.charCodeAt(0)) {
        const answer = [message('T', Buffer.concat([Buffer.from([0, 1]), column])), message('D', row)];
        socket.write(Buffer.concat([...answer, message('C', Buffer.from('SELECT 1\0')), ready]));
      } else socket.end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
