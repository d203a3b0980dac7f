/** Whoever leads a pool may die at any moment: every ticket is matched once, and none is forgotten. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { RedisTickets } from '../../src/adapters/redis-tickets.ts';
import { nextBelow, seedSfc32 } from '../../src/kernel/rng.ts';
import { LEASE_MS, STANDBY_MS } from '../../src/matchmaking/pool-worker.ts';
import { TicketStore } from '../../src/matchmaking/ticket-store.ts';
import { newTicket } from '../contract/ticket-store.contract.ts';
import { RedisServer } from '../fixtures/redis-server.ts';
import { until } from '../fixtures/until.ts';

const CHILD = new URL('../fixtures/matchmaking-child.ts', import.meta.url).pathname;
const SEED = 20261126;
const TICKETS = 200;
const KILLS = 12;
const WORKERS = 2;
const PREFIX = 'kill:';
const BASE = `${PREFIX}{matchmaking}:`;

describe('the matcher of a pool, killed while tickets come', () => {
  let redis: RedisServer;
  let cells: RedisTickets;
  let store: TicketStore;
  const children = new Map<string, ChildProcess>();
  /** Match by ticket, as those who handed out seats said. */
  const said: [ticketId: string, matchId: string][] = [];
  const rng = new Int32Array(4);
  seedSfc32(rng, 0, SEED);
  const draw = (below: number) => nextBelow(rng, 0, below);
  let born = 0;

  before(async () => {
    redis = await RedisServer.start();
    cells = await RedisTickets.open({ url: redis.url, prefix: PREFIX });
    store = new TicketStore(cells);
  });
  after(async () => {
    for (const child of children.values()) child.kill('SIGKILL');
    await cells.close();
    await redis.stop();
  });

  async function bear(): Promise<void> {
    const name = `worker-${++born}`;
    const child = spawn(process.execPath, [CHILD, redis.url, PREFIX, name, String(SEED + born)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.set(name, child);
    let text = '';
    const ready = Promise.withResolvers<void>();
    child.stdout!.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const [word, matchId = '', ...ticketIds] = text.slice(0, end).split(' ');
        text = text.slice(end + 1);
        if (word === 'ready') ready.resolve();
        else for (const ticketId of ticketIds) said.push([ticketId, matchId]);
      }
    });
    child.once('exit', () => ready.reject(new Error(`${name} ended before it was ready`)));
    await ready.promise;
  }

  const leader = async () => (await redis.command((client) => client.get(`${BASE}lease/duel`))) ?? undefined;
  const fence = async () => Number(await redis.command((client) => client.hget(`${BASE}fences`, 'duel')));
  const ended = async (child: ChildProcess, signal: NodeJS.Signals) => {
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
  };

  it(`matches each of ${TICKETS} tickets once over ${KILLS} kills, and is taken over from by lease`, async () => {
    assert.ok(LEASE_MS + STANDBY_MS < 2_000, 'a lease ends and is asked for within 2 s');
    const ages = new Map<string, number>();
    let isComing = true;
    const coming = (async () => {
      for (let at = 0; at < TICKETS; at++) {
        const { ticket } = await store.enqueue(newTicket(`p${at}`));
        ages.set(ticket.ticketId, ticket.createdAtMs);
        await new Promise((resolve) => setTimeout(resolve, draw(140)));
      }
      isComing = false;
    })();
    await Promise.all(Array.from({ length: WORKERS }, bear));

    const takeoversMs: number[] = [];
    for (let kill = 0; kill < KILLS; kill++) {
      const name = await until(leader, 'somebody to lead');
      await new Promise((resolve) => setTimeout(resolve, draw(600)));
      const before = await fence();
      if ((await leader()) !== name) continue;
      const killedAtMs = performance.now();
      await ended(children.get(name)!, 'SIGKILL');
      children.delete(name);
      const after = await until(async () => {
        const now = await fence();
        return now !== before && now;
      }, 'another to lead');
      takeoversMs.push(performance.now() - killedAtMs);
      // What the dead one had claimed is given back or claimed anew, under the new lease only.
      await until(
        async () => (await store.pending('duel')).every((match) => match.fence >= after),
        'what was left to be given back',
      );
      await bear();
    }
    await coming;
    assert.equal(isComing, false);
    const records = await until(
      async () => {
        const all = await store.getAll([...ages.keys()]);
        return all.every((record) => record?.state === 'matched') && all;
      },
      'every ticket to be matched',
      60_000,
    );

    const byMatch = new Map<string, string[]>();
    for (const record of records) {
      const { ticket, matchId, seats } = record!;
      assert.equal(ticket.createdAtMs, ages.get(ticket.ticketId), 'its age is kept');
      assert.deepEqual(
        Object.values(seats).map(({ roomId }) => roomId),
        [matchId],
      );
      byMatch.set(matchId!, [...(byMatch.get(matchId!) ?? []), ticket.ticketId]);
    }
    assert.equal(byMatch.size, TICKETS / 2);
    assert.ok(
      [...byMatch.values()].every((ticketIds) => ticketIds.length === 2),
      'two in each match',
    );
    assert.equal(new Set(said.map(([ticketId]) => ticketId)).size, said.length, 'no ticket was given seats twice');
    for (const [ticketId, matchId] of said) assert.ok(byMatch.get(matchId)?.includes(ticketId), 'what was said is so');
    const sorted = takeoversMs.sort((a, b) => a - b).map(Math.round);
    console.log(
      `      ${sorted.length} leaders killed; taken over from after ${sorted[0]} to ${sorted.at(-1)} ms, ` +
        `median ${sorted[sorted.length >> 1]} ms; ${records.reduce((sum, one) => sum + one!.returns, 0)} tickets came back`,
    );
  });

  it('that is stopped and goes on finds that it does not lead any more', async () => {
    const name = await until(leader, 'somebody to lead');
    const before = await fence();
    const stalled = children.get(name)!;
    stalled.kill('SIGSTOP');
    const first = await store.enqueue(newTicket('ann'));
    await until(async () => (await fence()) !== before, 'another to lead');
    stalled.kill('SIGCONT');
    const second = await store.enqueue(newTicket('bob'));
    const ids = [first.ticket.ticketId, second.ticket.ticketId];
    await until(
      async () => (await store.getAll(ids)).every((record) => record?.state === 'matched'),
      'both to be matched',
    );
    assert.notEqual(await leader(), name);
    const [ann, bob] = await store.getAll(ids);
    assert.equal(ann!.matchId, bob!.matchId);
    assert.equal(new Set(said.map(([ticketId]) => ticketId)).size, said.length);
  });

  it('leaves nothing behind but tickets that can still be looked at, each with an end', async () => {
    for (const child of children.values()) await ended(child, 'SIGKILL');
    children.clear();
    for (const set of ['queue/duel', 'seen/duel', 'pending/duel', 'wants/duel']) {
      assert.deepEqual(await cells.members(set, 9), [], set);
    }
    await redis.command(async (client) => {
      const keys = await client.keys(`${BASE}*`);
      const kinds = new Set(keys.map((key) => key.slice(BASE.length).split('/')[0]));
      for (const kind of kinds) assert.ok(['ticket', 'player', 'fences', 'lease', 'pool'].includes(kind!), kind);
      for (const key of keys) {
        if (key !== `${BASE}fences`) assert.ok((await client.pttl(key)) > 0, `${key} has an end`);
      }
    });
  });
});
