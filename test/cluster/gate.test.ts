import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { WebSocket } from 'ws';
import { CLOSE } from '../../src/kernel/errors.ts';
import { echoes, GateStage } from '../fixtures/gate-stage.ts';
import { until } from '../fixtures/until.ts';

/** Bytes as they are; everything that came back until the other side closed. */
function raw(port: number, bytes: string | Buffer): { socket: Socket; text: () => string; closed: Promise<string> } {
  const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => socket.destroy());
  const closed = new Promise<string>((resolve) => socket.on('close', () => resolve(text)));
  return { socket, text: () => text, closed };
}

function upgradeTo(target: string, more = ''): string {
  return (
    `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`
  );
}

describe('the gate', () => {
  let stage: GateStage;

  beforeEach(async () => {
    stage = await GateStage.start();
  });

  afterEach(async () => {
    const { gate, directory } = stage;
    await stage.close();
    assert.equal(gate.totals.held, 0);
    assert.equal(gate.totals.tunnels, 0);
    assert.equal(directory.listeners, 0);
  });

  it('joins an unmodified client to the room of another process, sign-in and all', async () => {
    const client = await stage.client();
    client.auth.token = undefined as unknown as string;
    await client.auth.signInAnonymously();
    const room = await stage.join();
    await echoes(room, 'hello');
    assert.equal(stage.gate.totals.tunnels, 1);
    await room.leave();
    await until(() => stage.gate.totals.tunnels === 0, 'the tunnel to end with its client');
  });

  it('cuts a room whose owner changes, and its client resumes at the new one with seat and room kept', async () => {
    const room = await stage.join();
    const { sessionId } = room;
    await echoes(room, 'before');
    let resumes = 0;
    room.onReconnect(() => void resumes++);
    stage.directory.announce(room.roomId, stage.ownerB);
    await until(() => resumes === 1, 'the client to resume');
    await echoes(room, 'after');
    assert.equal(room.sessionId, sessionId);
    assert.equal(stage.gate.totals.cuts['owner-changed'], 1);
    // The word said twice moves nobody.
    stage.directory.announce(room.roomId, stage.ownerB);
    await echoes(room, 'still');
    assert.equal(resumes, 1);
  });

  it('cuts the rooms of a process that died, and holds their clients until there is an owner', async () => {
    const room = await stage.join();
    let resumes = 0;
    room.onReconnect(() => void resumes++);
    stage.directory.place(room.roomId, { state: 'moving' });
    stage.directory.bury('A');
    await until(() => stage.gate.totals.held === 1, 'the client to be held');
    assert.equal(stage.gate.totals.cuts['owner-died'], 1);
    assert.equal(resumes, 0);
    stage.directory.announce(room.roomId, stage.ownerB);
    await until(() => resumes === 1, 'the client to resume');
    await echoes(room, 'here again');
    assert.equal(stage.gate.totals.holds.released, 1);
  });

  it('sees an owner also where nobody announced it', async () => {
    const client = await stage.client();
    const seat = await stage.seat(client);
    stage.directory.place(seat.roomId, { state: 'moving' });
    const joining = client.consumeSeatReservation(seat);
    await until(() => stage.gate.totals.held === 1, 'the upgrade to be held');
    stage.directory.place(seat.roomId, { state: 'running', ...stage.ownerA });
    await echoes(stage.adopt(await joining), 'found');
  });

  it('holds while the directory does not answer, and lets through to an owner it knows', async () => {
    const room = await stage.join();
    stage.directory.isAway = true;
    let resumes = 0;
    room.onReconnect(() => void resumes++);
    stage.a.cut();
    stage.a.heal();
    await until(() => resumes === 1, 'the client to resume by what the gate remembers');
    const unknown = raw(stage.gate.port, upgradeTo('/p/never-heard-of'));
    await until(() => stage.gate.totals.held === 1, 'the other to be held');
    stage.directory.isAway = false;
    // Nobody has that room: the owner says so in the framework's own words.
    await until(() => unknown.text().startsWith('HTTP/1.1 101'), 'an answer');
    unknown.socket.destroy();
  });

  it('asks the process that gave the seat when the directory has not heard of the room', async () => {
    const client = await stage.client();
    const seat = await stage.seat(client);
    stage.directory.join({ processId: seat.processId!, host: '127.0.0.1', port: stage.b.port });
    await echoes(stage.adopt(await client.consumeSeatReservation(seat)), 'new here');
  });

  it('tells clients of a parked match so that they stop', async () => {
    const room = await stage.join();
    const left = new Promise((resolve) => room.onLeave((code, reason) => resolve([code, reason])));
    stage.directory.place(room.roomId, { state: 'parked' });
    stage.directory.bury('A');
    assert.deepEqual(await left, [CLOSE.MATCH_PARKED, 'MATCH_PARKED']);
  });

  it('holds the client of an owner that answers 503, and tries again', async () => {
    const client = await stage.client();
    const seat = await stage.seat(client);
    stage.directory.announce(seat.roomId, stage.ownerA);
    stage.a.cut();
    const joining = client.consumeSeatReservation(seat);
    await until(() => stage.gate.totals.dialFailures.unreachable > 0, 'a failure');
    assert.equal(stage.gate.totals.held, 1);
    stage.a.heal();
    await echoes(stage.adopt(await joining), 'at last');
  });

  it('lets nobody wait who has left, half or whole', async () => {
    stage.directory.place('r', { state: 'moving' });
    const half = raw(stage.gate.port, upgradeTo('/p/r'));
    const whole = raw(stage.gate.port, upgradeTo('/p/r'));
    await until(() => stage.gate.totals.held === 2, 'both to be held');
    half.socket.end();
    await until(() => stage.gate.totals.held === 1, 'the half-open one to be let go');
    whole.socket.resetAndDestroy();
    await until(() => stage.gate.totals.held === 0, 'the other');
    assert.equal(stage.gate.totals.holds.left, 2);
    await half.closed;
  });

  it('throws out who talks before it is answered', async () => {
    stage.directory.place('r', { state: 'moving' });
    const talker = raw(stage.gate.port, upgradeTo('/p/r'));
    await until(() => stage.gate.totals.held === 1, 'it to be held');
    talker.socket.write(Buffer.alloc(8_192));
    assert.match(await talker.closed, /^HTTP\/1\.1 413 /);
  });

  it('answers pings of an SDK and rooms that nobody knows through any process', async () => {
    const pong = new WebSocket(`ws://127.0.0.1:${stage.gate.port}/`);
    let answer: Buffer | undefined;
    pong.on('open', () => pong.send(Buffer.of(18)));
    pong.on('message', (data: Buffer) => {
      answer = data;
    });
    await until(() => answer?.[0] === 18, 'the pong');
    pong.terminate();
    const lost = new WebSocket(`ws://127.0.0.1:${stage.gate.port}/p/gone?sessionId=x&reconnectionToken=y`);
    const code = await new Promise((resolve) => lost.on('close', resolve));
    assert.equal(code, 4003, 'final, as the room is really unknown');
  });

  it('refuses what is no WebSocket for a room, whatever the path', async () => {
    for (const target of [
      '/p/r/..',
      '/../../etc/passwd',
      '/p/%2e%2e/r%00',
      `/p/${'r'.repeat(500)}`,
      '/__proto__/constructor',
    ]) {
      const answer = raw(stage.gate.port, upgradeTo(target));
      await until(() => answer.text().startsWith('HTTP/1.1 '), `an answer to ${target}`);
      answer.socket.destroy();
    }
    const h2c = upgradeTo('/p/r').replace('Upgrade: websocket', 'Upgrade: h2c');
    assert.match(await raw(stage.gate.port, h2c).closed, /^HTTP\/1\.1 400 /);
    const huge = upgradeTo('/p/r', `X-Huge: ${'a'.repeat(20_000)}\r\n`);
    assert.match(await raw(stage.gate.port, huge).closed, /^HTTP\/1\.1 431 /);
  });
});
