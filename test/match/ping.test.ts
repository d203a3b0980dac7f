import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { attachToTestRoom, type Client } from '@colyseus/core';
import { PingPlugin, PingTotals, RTT_BOUNDS_SECONDS } from '../../src/match/ping-plugin.ts';
import { type InterestServer, startInterestServer, until } from '../fixtures/interest-room.ts';

/** A socket whose peer answers when the test says so. */
class Socket extends EventEmitter {
  readyState = 1;
  readonly pings: Buffer[] = [];

  ping(data: Buffer): void {
    this.pings.push(Buffer.from(data));
  }

  answer(index = this.pings.length - 1): void {
    this.emit('pong', this.pings.at(index)!);
  }
}

function setUp() {
  const totals = new PingTotals();
  const plugin = new PingPlugin(totals);
  const socket = new Socket();
  const client = { sessionId: 'a', ref: socket } as unknown as Client;
  const clients = [client];
  attachToTestRoom(plugin, { clients: clients as never });
  return { totals, plugin, socket, clients, client, stats: () => plugin.get('a')! };
}

/** Round trips by hand: the clock that the plugin reads stands still but for this. */
function withClock(run: (advance: (ms: number) => void) => void): void {
  const { now } = performance;
  let atMs = 1_000;
  performance.now = () => atMs;
  try {
    run((ms) => {
      atMs += ms;
    });
  } finally {
    performance.now = now;
  }
}

describe('PingPlugin', () => {
  it('smooths the round trip, and jitter follows RFC 3550', () => {
    withClock((advance) => {
      const { plugin, socket, stats } = setUp();
      for (const rttMs of [100, 140, 140]) {
        plugin.pingAll();
        advance(rttMs);
        socket.answer();
        advance(2_000 - rttMs);
      }
      assert.equal(stats().rttMs, 100 + 40 / 4 + 30 / 4);
      assert.equal(stats().jitterMs, 40 / 16 - 40 / 16 / 16);
      assert.equal(stats().loss, 0);
    });
  });

  it('counts as lost what is not answered when the next one is due, over a window', () => {
    const { plugin, socket, stats, totals } = setUp();
    for (let i = 0; i < 9; i++) {
      plugin.pingAll();
      if (i % 2 === 0) socket.answer();
    }
    assert.equal(stats().loss, 0.5);
    for (let i = 0; i < 17; i++) {
      plugin.pingAll();
      socket.answer();
    }
    assert.equal(stats().loss, 0);
    assert.equal(totals.collect().sent, 26);
    assert.equal(totals.collect().lost, 4);
    assert.equal(totals.collect().answered, 22);
  });

  it('takes the round trip of a late answer, which stays lost', () => {
    withClock((advance) => {
      const { plugin, socket, stats } = setUp();
      plugin.pingAll();
      advance(2_000);
      plugin.pingAll();
      advance(500);
      socket.answer(0);
      assert.equal(stats().rttMs, 2_500);
      assert.equal(stats().loss, 1);
    });
  });

  it('ignores pongs that it did not ask for: foreign, early, doubled, of any length', () => {
    const { plugin, socket, totals, stats } = setUp();
    plugin.pingAll();
    const ahead = Buffer.from(socket.pings[0]!);
    ahead.writeUInt32BE(99, 4);
    for (const data of [Buffer.alloc(0), Buffer.alloc(8), Buffer.alloc(125, 0xff), ahead]) socket.emit('pong', data);
    assert.equal(totals.collect().answered, 0);
    assert.equal(stats().rttMs, 0);
    socket.answer();
    socket.answer();
    assert.equal(totals.collect().answered, 1);
  });

  it('goes on with a new socket after a reconnect, and listens to the old one no more', () => {
    const { plugin, socket, clients, stats } = setUp();
    plugin.pingAll();
    socket.answer();
    plugin.pingAll();
    const before = stats();
    assert.equal(clients.length, 1);
    clients.length = 0;
    plugin.pingAll();
    assert.equal(stats().rttMs, before.rttMs, 'kept while the session is away');
    const next = new Socket();
    clients.push({ sessionId: 'a', ref: next } as unknown as Client);
    plugin.pingAll();
    assert.equal(socket.listenerCount('pong'), 0);
    assert.equal(next.pings.length, 1);
    assert.equal(stats().rttMs, before.rttMs);
    assert.equal(stats().loss, 0);
  });

  it('leaves a socket alone that is not open', () => {
    const { plugin, socket, totals } = setUp();
    socket.readyState = 2;
    plugin.pingAll();
    assert.equal(totals.collect().sent, 0);
  });

  it('puts round trips into the histogram for the metrics', () => {
    const totals = new PingTotals();
    for (const rttMs of [1, 5, 6, 3_000]) totals.observe(rttMs);
    const { rtt } = totals.collect();
    assert.deepEqual(rtt.bounds, RTT_BOUNDS_SECONDS);
    assert.deepEqual([rtt.counts[0], rtt.counts[1], rtt.counts.at(-1), rtt.count], [2, 1, 1, 4]);
    assert.ok(Math.abs(rtt.sum - 3.012) < 1e-9);
  });

  describe('on a real server', () => {
    let server: InterestServer;
    before(async () => {
      server = await startInterestServer();
    });
    after(() => server.close());

    it('measures an unmodified SDK client, and forgets it when it leaves', async () => {
      const room = await server.room();
      const joined = await server.join(room);
      const { ping } = room.plugins;
      await until(() => room.clients.length === 1, 'the join');
      ping.pingAll();
      await until(() => (ping.get(joined.sessionId)?.rttMs ?? 0) > 0, 'an answer');
      assert.equal(ping.get(joined.sessionId)?.loss, 0);
      await joined.leave();
      await until(() => ping.get(joined.sessionId) === undefined, 'the final leave');
    });
  });
});
