import assert from 'node:assert/strict';
import { Client } from '@colyseus/sdk';
import { freePort, ServerProcess } from '../../loadtest/driver/server-process.ts';
import { Swarm, type SwarmOptions } from '../../loadtest/driver/swarm.ts';

const PEERS = new URL('../../loadtest/peers/', import.meta.url);

async function startPeer(script: string, options: Readonly<Record<string, number>>): Promise<ServerProcess> {
  const port = await freePort();
  const argv = Object.entries({ port, ...options }).map(([name, value]) => `--${name}=${value}`);
  return ServerProcess.start({ script: new URL(script, PEERS), argv, port });
}

function swarmOn(
  server: ServerProcess,
  dialect: 'plain' | 'raw',
  mode: 'sdk' | 'light',
  more: Partial<SwarmOptions> = {},
): Promise<Swarm> {
  return Swarm.start({
    destination: { endpoint: server.endpoint, roomName: 'plain', dialect },
    mode,
    behaviour: 'wander',
    inputsPerSecond: 20,
    seed: 1,
    namePrefix: 'test-',
    workers: 1,
    ...more,
  });
}

describe('the load driver', () => {
  let plain: ServerProcess;
  let raw: ServerProcess;
  const swarms: Swarm[] = [];
  const swarm = async (...args: Parameters<typeof swarmOn>): Promise<Swarm> => {
    const started = await swarmOn(...args);
    swarms.push(started);
    return started;
  };

  before(async () => {
    [plain, raw] = await Promise.all([
      startPeer('plain-server.ts', { 'per-room': 4 }),
      startPeer('raw-ws.ts', { 'per-room': 4, bytes: 300 }),
    ]);
  });
  afterEach(() => Promise.all(swarms.splice(0).map((started) => started.stop())));
  after(() => Promise.all([plain?.stop(), raw?.stop()]));

  for (const mode of ['light', 'sdk'] as const) {
    it(`joins ${mode} players to a Colyseus room, whose inputs move them and who see patches`, async () => {
      const players = await swarm(plain, 'plain', mode, { workers: 2 });
      const joins = await players.ramp({ players: 6, perSecond: 1000 });
      assert.deepEqual(joins, { ok: 6, failed: 0, rooms: 2, failures: {} });
      const window = await players.measure(0.5);
      assert.equal(window.players, 6);
      assert.equal(window.dropped, 0);
      assert.ok(window.patchesPerSecond > 0);
      assert.ok(window.bytesPerSecond > window.patchesPerSecond * 10, 'a patch of six walkers has more than ten bytes');
      assert.ok(window.inputsPerSecond > 0);

      const watcher = await new Client(plain.endpoint).joinOrCreate('plain', { name: 'watcher' });
      const walker = () =>
        [...(watcher.state as { players: Map<string, { name: string; vx: number }> }).players.values()].find(
          ({ name, vx }) => name.startsWith('test-') && vx !== 0,
        );
      await new Promise<void>((resolve) => {
        watcher.onStateChange(() => {
          if (walker() !== undefined) resolve();
        });
      });
      await watcher.leave();
    });
  }

  it('measures on the floor how long inputs wait, and counts frames of the asked size', async () => {
    const players = await swarm(raw, 'raw', 'light');
    await players.ramp({ players: 5, perSecond: 1000 });
    const window = await players.measure(0.5);
    assert.ok(window.acksPerSecond > 0);
    assert.ok(window.ackP50Ms > 0 && window.ackP50Ms <= window.ackP95Ms && window.ackP95Ms <= window.ackP99Ms);
    assert.equal(Math.round(window.bytesPerSecond / window.framesPerSecond), 304);
  });

  it('puts as many players into a room as asked', async () => {
    const players = await swarm(plain, 'plain', 'light');
    const joins = await players.ramp({ players: 5, perSecond: 1000, perRoom: 2 });
    // Two of two and one of one, although four would fit into the first.
    assert.deepEqual(joins, { ok: 5, failed: 0, rooms: 3, failures: {} });
  });

  it('counts failed joins by reason and goes on', async () => {
    const players = await swarm(plain, 'plain', 'light', {
      destination: { endpoint: plain.endpoint, roomName: 'no-such-room', dialect: 'plain' },
    });
    const joins = await players.ramp({ players: 3, perSecond: 1000 });
    assert.equal(joins.ok, 0);
    assert.equal(joins.failed, 3);
    assert.equal(Object.values(joins.failures)[0], 3);
    assert.match(Object.keys(joins.failures)[0]!, /matchmake answered 520/);
  });

  it('notices players whose connection the server ends', async () => {
    const doomed = await startPeer('raw-ws.ts', {});
    const players = await swarm(doomed, 'raw', 'light');
    await players.ramp({ players: 3, perSecond: 1000 });
    const before = await players.measure(0);
    assert.equal(before.players, 3);
    await doomed.stop();
    let left = before.players;
    while (left > 0) left = (await players.measure(0.05)).players;
  });
});

describe('a server process of a bench', () => {
  it('fails with what the server said when it does not come up', async () => {
    const port = await freePort();
    await assert.rejects(
      ServerProcess.start({ script: new URL('raw-ws.ts', PEERS), argv: ['--rate', 'fast'], port }),
      /raw-ws\.ts ended:[\s\S]*--rate is a number, not fast/,
    );
  });
});
