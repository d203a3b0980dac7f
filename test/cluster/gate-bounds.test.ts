import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { type AddressInfo, createServer } from 'node:net';
import { WebSocket } from 'ws';
import { HOP_HEADER } from '../../src/cluster/hop-mark.ts';
import { marksOf } from '../fixtures/fake-directory.ts';
import { EchoOwner, PlainGate, type PlainGateOptions, rawClient, upgradeTo } from '../fixtures/plain-gate.ts';
import { TcpProxy } from '../fixtures/tcp-proxy.ts';
import { until } from '../fixtures/until.ts';

describe('what a gate bears', () => {
  const gates: PlainGate[] = [];
  const ends: (() => unknown)[] = [];

  async function start(options: PlainGateOptions = {}): Promise<PlainGate> {
    const gate = await PlainGate.start(options);
    gates.push(gate);
    return gate;
  }

  async function owner(processId: string): Promise<EchoOwner> {
    const started = await EchoOwner.start(processId);
    ends.push(() => started.close());
    return started;
  }

  async function open(port: number, target: string): Promise<WebSocket> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${target}`);
    ends.push(() => socket.terminate());
    await new Promise((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    return socket;
  }

  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
    for (const gate of gates.splice(0)) {
      await gate.close();
      assert.equal(gate.totals.held, 0);
      assert.equal(gate.totals.tunnels, 0);
      assert.equal(gate.directory.listeners, 0);
      assert.deepEqual(gate.bugs, []);
    }
  });

  it('thousands of held upgrades above the bound are refused at once, and those within are served', async () => {
    const gate = await start({ limits: { gateWaitingMax: 100, gateReaskMs: 60_000 } });
    const home = await owner('home');
    gate.directory.place('r', { state: 'moving' });
    const clients = Array.from({ length: 100 }, () => gate.raw(upgradeTo('/p/r')));
    await until(() => gate.totals.held === 100, 'the bound to be reached');
    for (let round = 0; round < 10; round++) {
      const refused = await Promise.all(Array.from({ length: 200 }, () => gate.raw(upgradeTo('/p/r')).closed));
      for (const answer of refused) assert.match(answer, /^HTTP\/1\.1 503 .*"code":"OVERLOADED"/s);
    }
    assert.equal(gate.totals.held, 100);
    assert.ok(gate.directory.asked < 10, `a room is asked for once, whoever waits: ${gate.directory.asked}`);
    gate.directory.announce('r', home);
    await until(() => clients.every(({ text }) => text().startsWith('HTTP/1.1 101')), 'those within to be let through');
    assert.equal(gate.totals.holds.released, 100);
  });

  it('one address takes but its share of the places, and leaves the others alone', async () => {
    const gate = await start({ network: '203.0.113.9', limits: { gateWaitingPerAddressMax: 3 } });
    gate.directory.place('r', { state: 'moving' });
    const held = Array.from({ length: 3 }, () => gate.raw(upgradeTo('/p/r')));
    await until(() => gate.totals.held === 3, 'its share');
    assert.match(await gate.raw(upgradeTo('/p/r')).closed, /^HTTP\/1\.1 429 /);
    held[0]!.socket.destroy();
    await until(() => gate.totals.held === 2, 'a place to be free');
    gate.raw(upgradeTo('/p/r'));
    await until(() => gate.totals.held === 3, 'it to be taken');
  });

  it('a gate that goes still says all that an owner has said, however slowly the client listens', async () => {
    const words = `HTTP/1.1 101 Switching Protocols\r\n\r\n${'word '.repeat(2_000_000)}`;
    const talker = createServer((socket) =>
      socket.on('error', () => socket.destroy()).once('data', () => socket.write(words)),
    );
    await new Promise<void>((resolve) => talker.listen(0, '127.0.0.1', resolve));
    ends.push(() => new Promise((resolve) => talker.close(resolve)));
    const gate = await start();
    const { port } = talker.address() as AddressInfo;
    gate.directory.announce('r', gate.directory.join({ processId: 'talker', host: '127.0.0.1', port }));
    const client = gate.raw(upgradeTo('/p/r'));
    client.socket.pause();
    await until(() => gate.totals.tunnels === 1, 'the tunnel');
    const ended = gate.gate.close();
    client.socket.resume();
    assert.equal((await client.closed).length, words.length);
    await ended;
    assert.equal(gate.totals.cuts.closing, 1);
  });

  it('tunnels have a bound, and a bound for each address', async () => {
    const home = await owner('home');
    const few = await start({ limits: { gateTunnelsMax: 2 } });
    const fair = await start({ network: 'n', limits: { gateTunnelsPerAddressMax: 2 } });
    for (const [gate, status] of [
      [few, 503],
      [fair, 429],
    ] as const) {
      gate.directory.announce('r', home);
      const first = await open(gate.port, '/p/r');
      await open(gate.port, '/p/r');
      await assert.rejects(open(gate.port, '/p/r'), new RegExp(String(status)));
      first.terminate();
      await until(() => gate.totals.tunnels === 1, 'one to end');
      await open(gate.port, '/p/r');
    }
  });

  it('nobody is held for ever: 503 when the time is over', async () => {
    const gate = await start({ limits: { gateHoldMs: 150, gateReaskMs: 20 } });
    gate.directory.place('r', { state: 'moving' });
    assert.match(await gate.raw(upgradeTo('/p/r')).closed, /^HTTP\/1\.1 503 .*"code":"ROOM_MOVING"/s);
    assert.equal(gate.totals.holds.expired, 1);
    assert.equal(
      gate.totals.holdCounts.reduce((sum, count) => sum + count, 0),
      1,
    );
    assert.ok(gate.totals.holdSecondsSum >= 0.14, String(gate.totals.holdSecondsSum));
  });

  it('a stalled owner is found by its silence; one goes ahead, the others wait, and all come in when it wakes', async () => {
    const home = await owner('home');
    const wire = await TcpProxy.start(home.port);
    ends.push(() => wire.close());
    const gate = await start({ limits: { gateAnswerMs: 100, gateReaskMs: 50 } });
    gate.directory.announce('r', { processId: 'home', host: '127.0.0.1', port: wire.port });
    wire.stall();
    const first = gate.raw(upgradeTo('/p/r'));
    await until(() => gate.totals.dialFailures.silent >= 2, 'it to be tried again');
    const others = Array.from({ length: 20 }, () => gate.raw(upgradeTo('/p/r')));
    await until(() => gate.totals.held === 21, 'all to be held');
    const failures = gate.totals.dialFailures.silent;
    await until(() => gate.totals.dialFailures.silent >= failures + 3, 'further tries');
    assert.ok(gate.totals.dialFailures.silent < failures + 6, 'one at a time goes ahead');
    wire.heal();
    await until(() => [first, ...others].every(({ text }) => text().startsWith('HTTP/1.1 101')), 'all to be in');
    assert.equal(gate.totals.tunnels, 21);
  });

  it('a process stopped by a signal holds up nobody once another one has its room', async () => {
    const child = await frozenOwner();
    ends.push(() => child.kill('SIGKILL'));
    const home = await owner('home');
    const gate = await start({ limits: { gateAnswerMs: 10_000 } });
    gate.directory.announce('r', { processId: 'frozen', host: '127.0.0.1', port: child.port });
    const joined = await open(gate.port, '/p/r');
    child.kill('SIGSTOP');
    const waiting = gate.raw(upgradeTo('/p/r'));
    const cut = new Promise((resolve) => joined.once('close', resolve));
    await until(() => gate.directory.asked >= 2, 'it to be on its way to the stopped process');
    gate.directory.announce('r', home);
    assert.equal(await cut, 1006);
    await until(
      () => waiting.text().startsWith('HTTP/1.1 101'),
      'the waiting one to be let through, without a time-out',
    );
    assert.equal(home.requests.length, 1);
    assert.equal(gate.totals.cuts['owner-changed'], 1);
  });

  it('a slow client slows its owner down, as without a gate: nothing piles up in between', async () => {
    const home = await owner('home');
    const gate = await start();
    gate.directory.announce('r', home);
    const client = await open(gate.port, '/p/r');
    await until(() => home.sockets.size === 1, 'the owner to see it');
    const [far] = home.sockets;
    const memory = process.memoryUsage().arrayBuffers;
    client.pause();
    const frame = Buffer.alloc(64 * 1024);
    let sent = 0;
    // Until the owner's own socket has filled up: everything between takes a bounded amount.
    await until(() => {
      for (let at = 0; at < 16; at++) far!.send(frame);
      sent += 16 * frame.length;
      return far!.bufferedAmount > 32 * 1024 * 1024;
    }, 'the back-pressure to reach the owner');
    const between = sent - far!.bufferedAmount;
    assert.ok(between < 24 * 1024 * 1024, `${between} bytes are under way`);
    assert.ok(process.memoryUsage().arrayBuffers - memory < 64 * 1024 * 1024);
    let got = 0;
    client.on('message', (data: Buffer) => {
      got += data.length;
    });
    client.resume();
    await until(() => got === sent, 'all of it to arrive');
  });

  it('the two ends of a tunnel end together, with the close code that was said, and half-open ones in time', async () => {
    const home = await owner('home');
    const gate = await start({ limits: { gateLingerMs: 50 } });
    gate.directory.announce('r', home);
    const polite = await open(gate.port, '/p/r');
    await until(() => home.sockets.size === 1, 'the owner to see it');
    const closed = new Promise((resolve) => polite.once('close', (code, reason) => resolve([code, String(reason)])));
    for (const far of home.sockets) far.close(4010, 'moved');
    assert.deepEqual(await closed, [4010, 'moved']);
    await until(() => gate.totals.tunnels === 0, 'the tunnel to end');

    const half = gate.raw(upgradeTo('/p/r'));
    await until(() => home.sockets.size === 1, 'the owner to see the next');
    half.socket.end();
    await until(() => home.sockets.size === 0 && gate.totals.tunnels === 0, 'both to be gone');

    const rude = await open(gate.port, '/p/r');
    await until(() => home.sockets.size === 1, 'the owner to see the last');
    const cut = new Promise((resolve) => rude.once('close', resolve));
    for (const far of home.sockets) far.terminate();
    assert.equal(await cut, 1006);
  });

  it('what was passed on is never passed on again: answered here, or 503', async () => {
    const home = await owner('home');
    const rooms = new Set(['mine']);
    const gate = await start({ rooms, local: (_request, socket) => socket.end('HTTP/1.1 299 Local\r\n\r\n') });
    gate.directory.join(home);
    gate.directory.announce('elsewhere', home);
    gate.directory.place('moving', { state: 'moving' });
    gate.directory.announce('mine', { processId: 'own', host: '127.0.0.1', port: gate.port });
    gate.directory.announce('lost', { processId: 'own', host: '127.0.0.1', port: gate.port });
    // Valid or forged is the same here.
    for (const mark of [marksOf().sign('203.0.113.9'), 'forged', 'v1;203.0.113.9;zzzz;zzzz']) {
      const ask = (room: string) => gate.raw(upgradeTo(`/home/${room}`, `${HOP_HEADER}: ${mark}\r\n`)).closed;
      assert.match(await ask('elsewhere'), /^HTTP\/1\.1 503 .*ROOM_MOVING/s);
      assert.match(await ask('moving'), /^HTTP\/1\.1 503 /);
      assert.match(await ask('lost'), /^HTTP\/1\.1 503 /);
      assert.match(await ask('mine'), /^HTTP\/1\.1 299 /);
      assert.match(await ask('nobodys'), /^HTTP\/1\.1 299 /);
      gate.directory.isAway = true;
      assert.match(await ask('elsewhere'), /^HTTP\/1\.1 503 /);
      assert.match(await ask('mine'), /^HTTP\/1\.1 299 /);
      gate.directory.isAway = false;
    }
    assert.equal(home.requests.length, 0);
    assert.equal(gate.totals.opened, 0);
  });

  it('a room that is here only in name is never answered with a final no', async () => {
    const rooms = new Set<string>();
    const gate = await start({ rooms, local: (_request, socket) => socket.end('HTTP/1.1 299 Local\r\n\r\n') });
    gate.directory.announce('r', { processId: 'own', host: '127.0.0.1', port: gate.port });
    const early = gate.raw(upgradeTo('/own/r'));
    await until(() => gate.totals.held === 1, 'it to be held');
    rooms.add('r');
    assert.match(await early.closed, /^HTTP\/1\.1 299 /);
  });

  it('two gates that take each other for the owner let nobody go round between them', async () => {
    const [one, other] = [await start(), await start()];
    one.directory.announce('r', { processId: 'other', host: '127.0.0.1', port: other.port });
    other.directory.announce('r', { processId: 'one', host: '127.0.0.1', port: one.port });
    const client = one.raw(upgradeTo('/p/r'));
    await until(() => one.totals.dialFailures.moving >= 2, 'the other to say no, twice');
    assert.equal(one.totals.held, 1);
    assert.equal(other.totals.opened, 0);
    client.socket.destroy();
  });

  it('passes on the request as it came, but for what only a proxy may say', async () => {
    const home = await owner('home');
    const gate = await start();
    gate.directory.announce('r', home);
    const more =
      'Origin: https://play.example\r\nCookie: a=1\r\nX-Forwarded-For: 198.51.100.7\r\nX-Real-IP: 198.51.100.7\r\n' +
      'X-Client-IP: 198.51.100.7\r\nContent-Length: 0\r\n';
    gate.raw(upgradeTo('/p/r?sessionId=s&_authToken=t', more));
    const request = await until(() => home.requests[0], 'it to arrive');
    const { headers, url } = request;
    assert.equal(url, '/p/r?sessionId=s&_authToken=t');
    assert.equal(headers.origin, 'https://play.example');
    assert.equal(headers.cookie, 'a=1');
    for (const name of ['x-forwarded-for', 'x-real-ip', 'x-client-ip', 'content-length']) {
      assert.equal(headers[name], undefined, name);
    }
    assert.equal(marksOf().addressOf(String(headers[HOP_HEADER])), '203.0.113.9');
  });

  it('a client that goes while its owner is asked leaves nothing behind', async () => {
    const home = await owner('home');
    const wire = await TcpProxy.start(home.port);
    ends.push(() => wire.close());
    wire.stall();
    const gate = await start();
    gate.directory.announce('r', { processId: 'home', host: '127.0.0.1', port: wire.port });
    const client = gate.raw(upgradeTo('/p/r'));
    await until(() => wire.connections === 1, 'the owner to be asked');
    client.socket.resetAndDestroy();
    wire.heal();
    await until(() => wire.connections === 0, 'the connection to the owner to end');
    assert.equal(gate.totals.opened, 0);
  });

  it('ends at once: those who wait are refused, those inside are cut, and new ones are told', async () => {
    const home = await owner('home');
    const gate = await start();
    gate.directory.announce('r', home);
    gate.directory.place('m', { state: 'moving' });
    const inside = await open(gate.port, '/p/r');
    const cut = new Promise((resolve) => inside.once('close', resolve));
    const waiting = gate.raw(upgradeTo('/p/m'));
    await until(() => gate.totals.held === 1, 'one to wait');
    gate.gate.close();
    assert.equal(await cut, 1006);
    assert.match(await waiting.closed, /^HTTP\/1\.1 503 .*DRAINING/s);
    assert.match(await rawClient(gate.port, upgradeTo('/p/r')).closed, /^HTTP\/1\.1 503 .*DRAINING/s);
    assert.equal(gate.totals.cuts.closing, 1);
  });

  /** An echo server as a process of its own. */
  async function frozenOwner(): Promise<{ port: number; kill: ChildProcess['kill'] }> {
    const script = `
      const { WebSocketServer } = require('ws');
      const server = new WebSocketServer({ port: 0, host: '127.0.0.1' }, () => process.send(server.address().port));
    `;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const port = await new Promise<number>((resolve, reject) => {
      child.once('message', (said) => resolve(Number(said)));
      child.once('exit', (code) => reject(new Error(`the owner ended with ${code}`)));
    });
    return { port, kill: (signal) => child.kill(signal) };
  }
});
