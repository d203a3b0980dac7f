import assert from 'node:assert/strict';
import { matchMaker } from '@colyseus/core';
import { Encoder } from '@colyseus/schema';
import { compatibilityOf, type GameRoom } from '../../rooms/game-room.ts';
import type { RoomRegistry } from '../../src/cluster/room-registry.ts';
import { GameError } from '../../src/kernel/errors.ts';
import { hashText } from '../../src/kernel/hash.ts';
import type { MatchHeader } from '../../src/kernel/match-header.ts';
import { type Adoption, type AdoptionDeps, adoptMatch, isParkedRoom, readAdoption } from '../../src/match/adoption.ts';
import type { Compatibility } from '../../src/match/compatibility.ts';
import { type MatchJournal, RECORD_MAX_BYTES } from '../../src/match/journal.ts';
import { restoreMatch } from '../../src/match/restore.ts';
import { arena } from '../../src/sim/arena.ts';
import { Eyes } from '../fixtures/eyes.ts';
import { GameServer, type TestPlayer, until } from '../fixtures/game-server.ts';
import { TagRoom } from '../fixtures/tag/tag-room.ts';
import { LiveArena, type ProbeArena } from './probe-rooms.ts';

/** Full with two. */
class PairArena extends LiveArena {
  protected override settings() {
    return { botsFillTo: 0, maxPlayers: 2 };
  }
}

let poison = Number.POSITIVE_INFINITY;
let poisonous: Error = new TypeError('a bug that comes again');

/** Cannot be simulated past a tick. */
class PoisonedArena extends LiveArena {
  protected override project(world: ProbeArena['match']['world'], tick: number): void {
    if (tick >= poison) throw poisonous;
    super.project(world, tick);
  }
}

/** Larger than a snapshot may be. */
class HeavyArena extends LiveArena {
  protected override readonly sim: typeof arena = { ...arena, encode: () => new Uint8Array(RECORD_MAX_BYTES) };
}

// biome-ignore lint/suspicious/noExplicitAny: any game
type AnyRoom = GameRoom<any, any, any>;

const ROOMS = { arena: LiveArena, pair: PairArena, tag: TagRoom, poisoned: PoisonedArena, heavy: HeavyArena };

describe('a room whose process is gone', () => {
  let game: GameServer;
  let plays: Record<string, Compatibility>;
  const faults: unknown[] = [];

  before(async () => {
    game = await GameServer.start({ rooms: ROOMS });
    plays = Object.fromEntries(Object.entries(ROOMS).map(([name, room]) => [name, compatibilityOf(room)]));
  });
  afterEach(async () => {
    await game.clear();
    faults.length = 0;
    poison = Number.POSITIVE_INFINITY;
  });
  after(() => game.close());

  const adopt = (matchId: string): Promise<Adoption> =>
    adoptMatch(
      { journal: game.server.services.journal, plays, onFault: (error) => void faults.push(error) },
      { matchId },
    );
  const disposed = (roomId: string) =>
    until(() => matchMaker.getLocalRoomById(roomId) === undefined, 'the room to end');

  /** The room ends as its process would: without a word to the journal. */
  async function die(room: AnyRoom): Promise<void> {
    await room.plugins.journal.flush();
    room.retire();
    await disposed(room.roomId);
  }

  async function playing(name: string, players: number, maps: readonly string[]) {
    const room = await game.createRoom<LiveArena>(name);
    const joined: TestPlayer[] = [];
    for (let i = 0; i < players; i++) joined.push(await game.join(room.roomId, { name: `P${i}` }));
    for (const player of joined) {
      await player.seat();
      await player.patched(3);
    }
    const eyes = joined.map((player) => new Eyes(player, maps));
    return { room, joined, eyes };
  }

  it('goes on in another one for players who never notice: same room, seats, objects, and no score lost', async () => {
    const { room, joined, eyes } = await playing('arena', 2, ['avatars', 'scores', 'rockets']);
    const { matchId } = joined[0]!.welcomes[0]!;
    await until(() => room.match.world.tick > 70, 'a snapshot or two');
    for (const player of joined) await player.patched(1);
    for (const one of eyes) one.remember();
    const seats = await Promise.all(joined.map((player) => player.seat()));
    const tokens = joined.map(({ room: { reconnectionToken } }) => reconnectionToken);
    await die(room);
    const recorded = (await game.server.services.journal.load(matchId))!;
    const journaled = restoreMatch(arena, recorded).world;
    const ccu = matchMaker.stats.local.ccu;

    const adopted = await adopt(matchId);
    assert.deepEqual(adopted, { kind: 'adopted', roomId: room.roomId, epoch: 2, ticks: recorded.entries.length });
    assert.deepEqual(faults, []);
    const again = game.room<LiveArena>(room.roomId);
    assert.notEqual(again, room);
    assert.equal(
      hashText(arena.hash(again.match.world, { hi: 0, lo: 0 })),
      hashText(arena.hash(journaled, { hi: 0, lo: 0 })),
    );
    assert.equal(matchMaker.stats.local.ccu, ccu + 2);
    await until(() => joined.every(({ resumes }) => resumes === 1), 'both to be back');
    for (const [i, player] of joined.entries()) {
      await player.patched(3);
      assert.equal(await player.seat(), seats[i]);
      assert.notEqual(player.room.reconnectionToken, tokens[i]);
      eyes[i]!.assertSame();
      const scores = [...player.state.scores.values()];
      assert.equal(scores.length, 4);
      for (const score of scores) {
        const { seat } = score;
        assert.ok(score.frags >= journaled.frags(seat) && score.deaths >= journaled.deaths(seat));
        assert.equal(score.name, journaled.name(seat));
      }
    }
    const [listing] = await matchMaker.query({ roomId: room.roomId } as object);
    assert.equal(listing?.clients, 2);
    const ticks = again.entries.map(({ tick }) => tick);
    assert.deepEqual(
      ticks,
      Array.from(ticks, (_, i) => ticks[0]! + i),
      'not a tick is left out or played twice',
    );
    const next = again.entries.find(({ tick }) => tick === recorded.entries.length);
    assert.deepEqual(next?.events, [], 'nobody joins or leaves again');
    assert.deepEqual(game.bugs, []);
  });

  /** As a gate holds who dials while nobody runs the room. @returns what lets it through */
  function held({ room: { connection } }: TestPlayer): () => void {
    const own = connection.reconnect;
    const released = Promise.withResolvers<void>();
    connection.reconnect = (options) => void released.promise.then(() => own.call(connection, options));
    return () => {
      connection.reconnect = own;
      released.resolve();
    };
  }

  it('goes on time after time, also for who was away while it moved', async () => {
    const { room, joined, eyes } = await playing('arena', 2, ['avatars', 'scores']);
    const { matchId } = joined[0]!.welcomes[0]!;
    const [player, away] = joined as [TestPlayer, TestPlayer];
    for (const one of eyes) one.remember();
    const letBack = held(away);
    let now: AnyRoom = room;
    for (let epoch = 2; epoch <= 4; epoch++) {
      const letOn = held(player);
      await die(now);
      assert.equal((await adopt(matchId)).kind, 'adopted');
      letOn();
      now = game.room<LiveArena>(room.roomId);
      await until(() => player.resumes === epoch - 1, 'the player to be back');
      await player.patched(2);
    }
    letBack();
    await until(() => away.resumes > 0, 'the other one to be back');
    for (const one of joined) await one.patched(3);
    for (const one of eyes) one.assertSame();
    assert.equal(now.plugins.journal.epoch, 4);
    assert.deepEqual(game.bugs, []);
  });

  it('goes on whatever the game: tag knows nothing of it', async () => {
    const { room, joined, eyes } = await playing('tag', 2, ['runners']);
    const { matchId } = joined[0]!.welcomes[0]!;
    const input = joined[1]!.room.input<{ moveX: number }>();
    input.data.moveX = -1;
    for (let i = 0; i < 5; i++) input.send();
    await until(() => input.lastProcessed === 5, 'the inputs');
    await joined[1]!.patched(2);
    for (const one of eyes) one.remember();
    const x = joined[0]!.state.runners.get('1').x;
    await die(room);
    assert.equal((await adopt(matchId)).kind, 'adopted');
    await until(() => joined.every(({ resumes }) => resumes === 1), 'both to be back');
    for (const player of joined) await player.patched(3);
    for (const one of eyes) one.assertSame();
    assert.equal(joined[0]!.state.runners.get('1').x, x);
    input.send();
    await until(() => input.pendingCount === 0, 'an input to be answered');
  });

  it('that the queues made is private as it was, and goes on under its trace id', async () => {
    const creation = { isPrivate: true, traceId: '4bf92f3577b34da6a3ce929d0e0e4736' } as const;
    const listing = await matchMaker.createRoom('arena', creation);
    const { roomId } = listing;
    assert.equal(listing.private, true);
    const player = await game.join(roomId);
    await player.seat();
    await player.patched(1);
    await die(game.room<LiveArena>(roomId));
    assert.equal((await adopt(roomId)).kind, 'adopted');
    await until(() => player.resumes === 1, 'the player to be back');
    const [again] = await matchMaker.query({ roomId } as object);
    assert.equal(again?.private, true);
    const { header } = (await game.server.services.journal.load(roomId))!;
    assert.equal(header.traceId, creation.traceId);
  });

  it('that is full is offered to nobody, before and after its players are back, until one of them leaves', async () => {
    const { room, joined } = await playing('pair', 2, ['scores']);
    const { matchId } = joined[0]!.welcomes[0]!;
    await die(room);
    assert.equal((await adopt(matchId)).kind, 'adopted');
    const join = async (): Promise<TestPlayer> => game.adopt(await (await game.client()).joinOrCreate('pair', {}));
    const early = await join();
    assert.notEqual(early.room.roomId, room.roomId);
    await until(() => joined.every(({ resumes }) => resumes === 1), 'both to be back');
    const late = await join();
    assert.equal(late.room.roomId, early.room.roomId);
    await joined[0]!.leave();
    const again = game.room<LiveArena>(room.roomId);
    await until(() => again.clients.length === 1, 'the seat to be free');
    await until(() => !again.locked, 'the room to be offered again');
    assert.equal((await join()).room.roomId, room.roomId);
  });

  it('lets a page that was reloaded in again by its token, and nobody by a token of before', async () => {
    const { room, joined } = await playing('arena', 1, ['scores']);
    const [player] = joined as [TestPlayer];
    const { matchId } = player.welcomes[0]!;
    const seat = await player.seat();
    const { reconnectionToken, sessionId } = player.room;
    player.room.reconnection.enabled = false;
    await die(room);
    assert.equal((await adopt(matchId)).kind, 'adopted');
    const client = await game.client();
    await assert.rejects(client.reconnect(`${room.roomId}:forged-token`));
    const after = game.adopt(await client.reconnect(reconnectionToken));
    assert.equal(after.room.sessionId, sessionId);
    assert.equal(await after.seat(), seat);
    await after.avatar();
  });

  it('lets who never got its newest tokens in with the one that it has', async () => {
    const room = await game.createRoom<LiveArena>('arena');
    const { roomId } = room;
    const player = await game.raw(roomId, { name: 'Marcia' });
    const { sessionId } = player;
    const token = player.token!;
    const matchId = room.match.id;
    player.socket.terminate();
    await until(() => room.clients.length === 0, 'the loss to be noticed');
    for (let now: AnyRoom = room; now.plugins.journal.epoch < 3; now = game.room(roomId)) {
      for (let i = 0; i < 2; i++) {
        const unheard = await game.comeBack(roomId, sessionId, token);
        assert.equal(unheard.closed, undefined);
        assert.notEqual(unheard.token, token);
      }
      await die(now);
      assert.equal((await adopt(matchId)).kind, 'adopted');
    }
    assert.equal((await game.comeBack(roomId, sessionId, token)).closed, undefined);
  });

  it('that is too large for a snapshot says so once, counts them, and goes on from its beginning', async () => {
    const { room, joined, eyes } = await playing('heavy', 1, ['avatars', 'scores']);
    const { matchId } = joined[0]!.welcomes[0]!;
    const { room: totals } = game.server.services.totals;
    await until(() => totals.snapshotsTooLarge >= 2, 'the second snapshot that is left out');
    const said = game.log.splice(0).filter(({ msg }) => msg.includes('too large for a snapshot'));
    assert.equal(said.length, 1);
    assert.equal(said[0]!['matchId'], matchId);
    await joined[0]!.patched(3);
    eyes[0]!.remember();
    await die(room);
    const { snapshots, entries } = (await game.server.services.journal.load(matchId))!;
    assert.deepEqual(snapshots, []);
    assert.deepEqual(await adopt(matchId), { kind: 'adopted', roomId: room.roomId, epoch: 2, ticks: entries.length });
    await until(() => joined[0]!.resumes === 1, 'the player to be back');
    await joined[0]!.patched(3);
    eyes[0]!.assertSame();
  });

  it('waits for its players, but not for long: who does not come back loses its seat in the end, and is counted out', async () => {
    const { room, joined } = await playing('arena', 2, ['scores']);
    const [player, lost] = joined as [TestPlayer, TestPlayer];
    const { matchId } = player.welcomes[0]!;
    const lostSeat = await lost.seat();
    lost.room.reconnection.enabled = false;
    await die(room);
    const ccu = matchMaker.stats.local.ccu;
    assert.equal((await adopt(matchId)).kind, 'adopted');
    const again = game.room<LiveArena>(room.roomId);
    const { tick } = again.match.world;
    await until(() => again.match.world.tick > tick, 'it to go on without');
    await player.patched(2);
    assert.equal(player.state.scores.get(String(lostSeat)).isConnected, false);
    const clock = again.clock as unknown as { now: () => number };
    clock.now = () => performance.now() + 61_000;
    await until(
      () => again.entries.some(({ events }) => events.some(({ kind }) => kind === 'leave')),
      'the seat to be free',
    );
    await until(() => matchMaker.stats.local.ccu === ccu + 1, 'it to be counted out');
    const listed = async () => (await matchMaker.query({ roomId: room.roomId } as object))[0]?.clients;
    await until(async () => (await listed()) === 1, 'the listing');
    assert.deepEqual(game.bugs, []);
  });

  it('is handed over without a tick lost, or taken back as if nothing had been', async () => {
    const { room, joined, eyes } = await playing('arena', 1, ['avatars', 'scores']);
    const [player] = joined as [TestPlayer];
    const { matchId } = player.welcomes[0]!;
    assert.deepEqual(await room.handOver(), { epoch: 1 });
    const frozenAt = room.match.world.tick;
    await assert.rejects(game.join(room.roomId), /DRAINING/);
    assert.equal(room.match.world.tick, frozenAt);
    room.unfreeze();
    await until(() => room.match.world.tick > frozenAt + 2, 'it to go on');
    await player.patched(2);
    assert.equal(player.resumes, 0);

    eyes[0]!.remember();
    await room.handOver();
    const { tick } = room.match.world;
    const { snapshots } = (await game.server.services.journal.load(matchId))!;
    assert.equal(snapshots.at(-1)?.tick, tick);
    room.retire();
    await disposed(room.roomId);
    assert.equal((await adopt(matchId)).kind, 'adopted');
    assert.equal(game.room<LiveArena>(room.roomId).match.world.tick, tick);
    await until(() => player.resumes === 1, 'the player to be back');
    await player.patched(3);
    eyes[0]!.assertSame();
  });

  it('waits for players whom it sent away when nobody took it over', async () => {
    const { room, joined, eyes } = await playing('arena', 2, ['avatars', 'scores']);
    const players = joined as [TestPlayer, TestPlayer];
    for (const seen of eyes) seen.remember();
    await room.handOver();
    const frozenAt = room.match.world.tick;
    room.sendAway();
    await until(() => room.clients.length === 0, 'them to be on their way');
    assert.equal(room.match.world.tick, frozenAt);
    room.unfreeze();
    await until(() => players.every(({ resumes }) => resumes === 1), 'them to be back');
    await Promise.all(players.map((player) => player.patched(3)));
    for (const seen of eyes) seen.assertSame();
    for (const { welcomes } of players) assert.equal(welcomes.at(-1)!.seat, welcomes[0]!.seat);
    assert.deepEqual(game.bugs, []);
  });

  it('is settled once who joined last would come back by itself', async () => {
    const { room } = await playing('arena', 1, []);
    const { settledInMs } = room;
    assert.ok(settledInMs > 0 && settledInMs <= 5_500, `${settledInMs} ms`);
    const nowMs = performance.now() + 6_000;
    (room.clock as unknown as { now: () => number }).now = () => nowMs;
    assert.equal(room.settledInMs, 0);
  });

  it('ends itself when a newer owner has claimed its match, and leaves journal and result alone', async () => {
    const { room, joined } = await playing('arena', 1, ['scores']);
    const [player] = joined as [TestPlayer];
    const { matchId } = player.welcomes[0]!;
    // Otherwise it would look for the new owner for a minute.
    player.room.reconnection.enabled = false;
    const { journal } = game.server.services;
    const { header } = (await journal.load(matchId))!;
    const claim = await journal.open(header, 2);
    await disposed(room.roomId);
    const recorded = (await journal.load(matchId))!;
    assert.deepEqual([recorded.end, recorded.epoch], [undefined, 2]);
    assert.equal(await until(() => player.leftWith, 'the player to be sent there'), 4010);
    await claim.close();
  });

  it('is parked when it cannot be restored, tried twice, and its players are told', async () => {
    const { room, joined } = await playing('poisoned', 1, ['scores']);
    const [player] = joined as [TestPlayer];
    const { matchId } = player.welcomes[0]!;
    await until(() => room.match.world.tick > 20, 'some ticks');
    await die(room);
    poison = 0;
    assert.deepEqual(await adopt(matchId), { kind: 'parked', roomId: room.roomId });
    assert.equal(faults.length, 2);
    assert.match(String(faults[0]), /a bug that comes again/);
    assert.ok(isParkedRoom(room.roomId));
    assert.equal(await until(() => player.leftWith, 'the player to be told'), 4106);
    const recorded = (await game.server.services.journal.load(matchId))!;
    assert.deepEqual([recorded.triesInVain, recorded.epoch, recorded.end], [2, 3, undefined]);
    // Not even when the bug is gone: somebody has to look.
    poison = Number.POSITIVE_INFINITY;
    assert.equal((await adopt(matchId)).kind, 'parked');
    assert.equal((await game.server.services.journal.load(matchId))!.epoch, 3);
  });

  it('is parked when who tried died of it twice', async () => {
    const { room, joined } = await playing('arena', 1, ['scores']);
    const { matchId } = joined[0]!.welcomes[0]!;
    await die(room);
    const { journal } = game.server.services;
    const { header } = (await journal.load(matchId))!;
    for (const epoch of [2, 3]) {
      const writer = await journal.open(header, epoch);
      await readAdoption(journal, writer, { roomId: room.roomId, open: undefined });
      await writer.close();
    }
    assert.equal((await adopt(matchId)).kind, 'parked');
  });

  it('is not parked for a store that is away whenever it is tried, and stays in the registry for the next try', async () => {
    const { room, joined } = await playing('poisoned', 1, ['scores']);
    const { matchId } = joined[0]!.welcomes[0]!;
    await until(() => room.match.world.tick > 20, 'some ticks');
    await die(room);
    const { journal, registry } = game.server.services as { journal: MatchJournal; registry: RoomRegistry };
    const { released } = registry;
    const gone: string[] = [];
    registry.released = async (roomId) => void gone.push(roomId);
    const onFault = (error: unknown): void => void faults.push(error);
    let isAway = false;
    const away: AdoptionDeps['journal'] = {
      load: (id) => journal.load(id),
      open: (header, epoch) => journal.open(header, epoch),
      // There when it is asked for the first time, and away when the match has been claimed.
      loadTail: (id) => {
        const answer = isAway ? Promise.reject(new GameError('JOURNAL_UNAVAILABLE')) : journal.loadTail(id);
        isAway = !isAway;
        return answer;
      },
    };
    try {
      for (let i = 0; i < 3; i++) {
        const adopting = adoptMatch({ journal: away, plays, onFault }, { matchId });
        await assert.rejects(adopting, { code: 'JOURNAL_UNAVAILABLE' });
      }
      poison = 0;
      poisonous = new GameError('STORE_UNAVAILABLE');
      for (let i = 0; i < 3; i++) await assert.rejects(adopt(matchId), { code: 'STORE_UNAVAILABLE' });
      const { epoch, triesInVain } = (await journal.loadTail(matchId))!;
      assert.deepEqual([epoch, triesInVain], [7, 0]);
      poison = Number.POSITIVE_INFINITY;
      assert.equal((await adopt(matchId)).kind, 'adopted');
      await until(() => joined[0]!.resumes === 1, 'the player to be back');
      await joined[0]!.patched(3);
      assert.deepEqual(faults, []);
      assert.deepEqual(gone, []);
    } finally {
      registry.released = released;
      poisonous = new TypeError('a bug that comes again');
    }
  });

  it('goes on alone when it was tried in vain before: the process may die of it, and the others were not tried with it', async () => {
    const rooms: LiveArena[] = [];
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) {
      const { room, joined } = await playing('arena', 1, ['scores']);
      joined[0]!.room.reconnection.enabled = false;
      rooms.push(room);
      ids.push(joined[0]!.welcomes[0]!.matchId);
    }
    const { journal } = game.server.services;
    const inVain = async () =>
      (await Promise.all(ids.map((id) => journal.loadTail(id)))).map((tail) => tail!.triesInVain);
    for (const [at, room] of rooms.entries()) {
      await die(room);
      const { header, epoch } = (await journal.loadTail(ids[at]!))!;
      // Somebody tried it and died, of this one or of another.
      const writer = await journal.open(header, epoch + 1);
      await readAdoption(journal, writer, { roomId: room.roomId, open: undefined });
      await writer.close();
    }
    assert.deepEqual(await inVain(), [1, 1, 1]);
    const seen: number[][] = [];
    const watched = {
      load: (matchId: string) => journal.load(matchId),
      loadTail: (matchId: string) => journal.loadTail(matchId),
      open: async (header: MatchHeader, epoch: number) => {
        const writer = await journal.open(header, epoch);
        seen.push(await inVain());
        return writer;
      },
    };
    const deps = { journal: watched, plays, onFault: (error: unknown) => void faults.push(error) };
    const outcomes = await Promise.all(ids.map((matchId) => adoptMatch(deps, { matchId })));
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ['adopted', 'adopted', 'adopted'],
    );
    assert.deepEqual(faults, []);
    // Whoever is claimed, those before it have ticked, and those after it wait.
    assert.deepEqual(
      seen.map((tries) => tries.filter((count) => count > 0).length),
      [3, 2, 1],
    );
  });

  it('stays where it is when this build plays by other rules or other bytes, or when it is over', async () => {
    const { room, joined } = await playing('arena', 1, ['scores']);
    const { matchId } = joined[0]!.welcomes[0]!;
    joined[0]!.room.reconnection.enabled = false;
    await die(room);
    const { journal } = game.server.services;
    const here = plays['arena']!;
    for (const other of [{ simVersion: here.simVersion + 1 }, { schemaHash: 'another' }, { simId: 'another' }]) {
      const outcome = await adoptMatch(
        { journal, plays: { arena: { ...here, ...other } }, onFault: (error) => void faults.push(error) },
        { matchId },
      );
      assert.deepEqual(outcome, { kind: 'incompatible', match: here, here: { ...here, ...other } });
    }
    assert.deepEqual(await adoptMatch({ journal, plays: {}, onFault: () => {} }, { matchId }), {
      kind: 'incompatible',
      match: here,
    });
    assert.equal((await journal.load(matchId))!.epoch, 1, 'nothing was claimed');
    assert.deepEqual(await adopt('no-such-match'), { kind: 'lost' });
    const { header, entries } = (await journal.load(matchId))!;
    const writer = await journal.open(header, 2);
    writer.end(entries.length, { hi: 0, lo: 0 }, { reason: 'abandoned', standings: [] });
    await writer.close();
    assert.deepEqual(await adopt(matchId), { kind: 'ended' });
  });
});

describe('a process whose schema library is not the one that rooms can be restored with', () => {
  const { discardChanges } = Encoder.prototype;
  let game: GameServer | undefined;
  afterEach(async () => {
    Encoder.prototype.discardChanges = discardChanges;
    await game?.close();
  });

  const readiness = async (): Promise<[number, unknown, string | undefined]> => {
    const response = await fetch(`${game!.endpoint}/readyz`);
    const metrics = await (await fetch(`${game!.endpoint}/metrics`)).text();
    return [response.status, await response.json(), /^hypogeum_adoption_enabled (.*)$/m.exec(metrics)?.[1]];
  };

  it('takes players and says that it goes on with no match, which is not so otherwise', async () => {
    game = await GameServer.start({ rooms: ROOMS });
    assert.deepEqual(await readiness(), [200, { status: 'ready' }, '1']);
    await game.close();
    Encoder.prototype.discardChanges = () => {
      throw new Error('discardChanges is another');
    };
    game = await GameServer.start({ rooms: ROOMS });
    Encoder.prototype.discardChanges = discardChanges;
    assert.deepEqual(await readiness(), [200, { status: 'ready', without: ['adoption'] }, '0']);
    assert.match(game.bugs.join(), /rooms cannot be restored/);
    const room = await game.createRoom<LiveArena>('arena');
    await (await game.join(room.roomId)).patched(2);
  });
});
