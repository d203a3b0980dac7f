import assert from 'node:assert/strict';
import { CloseCode } from '@colyseus/core';
import { CLOSE } from '../../src/kernel/errors.ts';
import { LIMITS } from '../../src/limits.ts';
import { socketOf } from '../../src/match/colyseus-internals.ts';
import type { Identity } from '../../src/sessions/tokens.ts';
import { FRAME, GameServer, type TestPlayer, until } from '../fixtures/game-server.ts';
import { ProbeArena } from './probe-rooms.ts';

describe('the session of a player', () => {
  let game: GameServer;
  before(async () => {
    game = await GameServer.start({ rooms: { arena: ProbeArena } });
  });
  after(() => game.close());
  afterEach(() => game.clear());

  const states = () => game.server.services.totals.sessions.now;

  async function seated(): Promise<{ room: ProbeArena; player: TestPlayer; identity: Identity }> {
    const room = await game.createRoom<ProbeArena>('arena');
    const { identity } = await game.server.tokens.issueAnonymous();
    const player = await game.join(room.roomId, { name: 'Aelia' }, identity);
    await player.avatar();
    return { room, player, identity };
  }

  /** Cuts the connection without a goodbye; the player stays away until it reconnects by hand. */
  async function cut(room: ProbeArena, player: TestPlayer): Promise<void> {
    player.room.reconnection.enabled = false;
    socketOf(room.clients.getById(player.room.sessionId)!).terminate!();
    await until(() => room.clients.getById(player.room.sessionId) === undefined, 'the loss');
  }

  async function back(player: TestPlayer): Promise<TestPlayer> {
    const client = await game.client();
    return game.adopt(await client.reconnect(player.room.reconnectionToken));
  }

  it('counts as a player where it is connected, not where its seat is held', async () => {
    const players = async () => Number(/^hypogeum_players (\d+)$/m.exec(await game.server.metrics.text())?.[1]);
    const { room, player } = await seated();
    await until(async () => (await players()) === 1, 'the player');
    await cut(room, player);
    await until(async () => (await players()) === 0, 'nobody to be there');
    const again = await back(player);
    await until(async () => (await players()) === 1, 'the player again');
    await again.leave();
    await until(async () => (await players()) === 0, 'nobody to be left');
  });

  it('is counted in the state that it is in', async () => {
    const before = { ...states() };
    const { room, player } = await seated();
    await until(() => states().joined === before.joined + 1, 'the session to be joined');
    await cut(room, player);
    assert.equal(states().dropped, before.dropped + 1);
    const again = await back(player);
    await until(() => states().joined === before.joined + 1, 'the session to be joined again');
    await again.leave();
    await until(() => states().ended === before.ended + 1, 'the session to end');
    assert.deepEqual({ ...states(), ended: 0 }, { ...before, ended: 0 });
  });

  it('is dropped when its socket answers no ping, and held for who comes back; the others play on', async function () {
    const foundMs = (LIMITS.socketPingsMissedMax + 2) * LIMITS.socketPingMs;
    this.timeout(4 * foundMs);
    const { room, player } = await seated();
    const dropped = states().dropped;
    const dead = await game.raw(room.roomId, { name: 'Drusa' }, { autoPong: false });
    const pings: number[] = [];
    dead.socket.on('ping', ({ length }) => void pings.push(length));
    const { world } = room.match;
    const inUse = () => Array.from({ length: world.capacity }, (_, at) => at).filter((at) => world.isUsed(at));
    const used = await until(() => inUse().length === 2 && inUse(), 'both to play');
    assert.deepEqual(
      used.map((at) => world.name(at)),
      ['Aelia', 'Drusa'],
    );
    // Nothing is closed before as many pings were left unanswered; how long more a busy machine takes is not the server's.
    await until(() => room.clients.getById(dead.sessionId) === undefined, 'the dead socket to be found', 2 * foundMs);
    assert.ok(pings.filter((length) => length === 0).length >= LIMITS.socketPingsMissedMax, 'it was asked before');
    assert.equal((await dead.ended()).code, 1006);
    assert.equal(states().dropped, dropped + 1);
    assert.ok(
      used.every((at) => world.isUsed(at)),
      'its seat is held',
    );
    await player.patched(4);
    assert.deepEqual([player.leftWith, player.resumes], [undefined, 0]);
    const again = await game.comeBack(room.roomId, dead.sessionId, dead.token!);
    assert.equal(again.closed, undefined);
    assert.equal(states().dropped, dropped);
  });

  it('goes to another device of the player: the same fighter goes on, and the first device is told by code', async () => {
    const { room, player: first, identity } = await seated();
    const witness = await game.join(room.roomId, { name: 'Drusa' });
    await witness.avatar();
    const seat = await first.seat();
    const [id, entries] = [room.match.world.name(seat), room.entries.length];
    const avatar = room.state.avatars.get(String(seat));
    const second = await game.join(room.roomId, { name: 'somebody else' }, identity);
    assert.equal(await second.seat(), seat);
    await until(() => first.leftWith !== undefined, 'the first device to be shown out');
    assert.equal(first.leftWith, CLOSE.SEAT_TAKEN_OVER);
    assert.deepEqual(first.codes(), ['SEAT_TAKEN_OVER']);
    assert.equal(first.resumes, 0);
    await second.patched(4);
    const own = await second.avatar();
    await until(() => own['ammo']! > 0, 'what only its owner sees');
    assert.equal(room.state.avatars.get(String(seat)), avatar, 'the same structure');
    assert.equal(room.match.world.name(seat), id);
    const events = room.entries.slice(entries).flatMap((entry) => entry.events);
    assert.deepEqual(events, [], 'nobody left and nobody joined the match');
    await second.leave();
    await until(() => !room.match.world.isUsed(seat), 'the seat to be free once the second device left');
  });

  it('goes to another device also while the first one is away, whose token is void then', async () => {
    const { room, player: first, identity } = await seated();
    const seat = await first.seat();
    await cut(room, first);
    const second = await game.join(room.roomId, {}, identity);
    assert.equal(await second.seat(), seat);
    await assert.rejects(back(first), 'the former token opens nothing');
    await second.patched();
    assert.equal(second.leftWith, undefined);
  });

  it('gets what was kept for it while it was away, in order, and is told how much of the rest it missed', async () => {
    const { room, player } = await seated();
    const witness = await game.join(room.roomId, { name: 'Drusa' });
    await witness.avatar();
    const seat = await player.seat();
    await cut(room, player);
    room.say('notice', { code: 'FIRST' });
    room.say('emote', { which: 1 });
    room.say('emote', { which: 2 });
    room.say('notice', { code: 'SECOND' }, seat);
    room.say('notice', { code: 'NOT_FOR_YOU' }, await witness.seat());
    const again = await back(player);
    await until(() => again.codes().length >= 2, 'what was kept');
    assert.deepEqual(again.codes(), ['FIRST', 'SECOND']);
    await until(() => again.messages.some(({ type }) => type === 'missed'), 'what was missed');
    assert.deepEqual(again.messages.find(({ type }) => type === 'missed')!.message, { types: { emote: 2 } });
    await again.patched();
    assert.equal(again.messages.filter(({ type }) => type === 'emote').length, 0);
    await cut(room, again);
    const third = await back(again);
    await third.patched();
    assert.deepEqual([third.codes(), third.messages.length], [[], 0], 'nothing is told twice');
  });

  it('loses nothing of it when its connection is lost again before its client was there', async () => {
    const { room } = await seated();
    const raw = await game.raw(room.roomId, { name: 'Drusa' });
    raw.socket.terminate();
    await until(() => room.clients.getById(raw.sessionId) === undefined, 'the loss to be noticed');
    room.say('notice', { code: 'FIRST' });
    const silent = await game.comeBack(room.roomId, raw.sessionId, raw.token!);
    room.say('notice', { code: 'SECOND' });
    room.say('emote', { which: 1 });
    silent.socket.terminate();
    await until(() => room.clients.getById(raw.sessionId) === undefined, 'the second loss to be noticed');
    const again = await game.comeBack(room.roomId, raw.sessionId, silent.token!);
    again.send(FRAME.JOIN_ROOM);
    const told = (text: string) => again.frames.filter((frame) => Buffer.from(frame).includes(text)).length;
    await until(() => told('missed') > 0, 'what was missed');
    assert.deepEqual([told('FIRST'), told('SECOND'), told('emote')], [1, 1, 1]);
  });

  it('keeps its seat when its connection is lost while it is being let in', async () => {
    const { room } = await seated();
    const raw = await game.raw(room.roomId, { name: 'Drusa' });
    raw.socket.terminate();
    await until(() => room.clients.getById(raw.sessionId) === undefined, 'the loss to be noticed');
    const { journal } = room.plugins;
    const flushed = Promise.withResolvers<void>();
    const flush = journal.flush;
    journal.flush = () => flushed.promise;
    game.comeBack(room.roomId, raw.sessionId, raw.token!).catch(() => undefined);
    const half = await until(() => room.clients.getById(raw.sessionId), 'it to be on its way in');
    // Closing, and not yet closed.
    half.leave(CloseCode.GOING_AWAY);
    flushed.resolve();
    await until(() => room.clients.getById(raw.sessionId) === undefined, 'the second loss to be noticed');
    journal.flush = flush;
    const again = await game.comeBack(room.roomId, raw.sessionId, raw.token!);
    assert.equal(again.closed, undefined);
  });
});
