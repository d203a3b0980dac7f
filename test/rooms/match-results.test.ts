import assert from 'node:assert/strict';
import { CloseCode, matchMaker } from '@colyseus/core';
import type { Revocations, Revoked, RoomServices } from '../../rooms/game-room.ts';
import { MemoryJournal } from '../../src/adapters/memory-journal.ts';
import { CLOSE, GameError } from '../../src/kernel/errors.ts';
import type { MatchReport } from '../../src/kernel/match-header.ts';
import type { MatchSetup } from '../../src/kernel/simulation.ts';
import { JournalTotals } from '../../src/match/journal-totals.ts';
import { MatchSettler } from '../../src/match/settler.ts';
import { PHASE_ENDED, PHASE_LIVE } from '../../src/sim/tuning.ts';
import { GameServer, type TestPlayer, until } from '../fixtures/game-server.ts';
import { ProbeArena } from './probe-rooms.ts';

/** Sign-ins that a test ends. */
class TestRevocations implements Revocations {
  readonly #listeners = new Set<(revoked: Revoked) => void>();
  readonly #ended = new Map<string, Revoked['code']>();

  end(sessionId: string, code: Revoked['code'], { isTold = true } = {}): void {
    this.#ended.set(sessionId, code);
    if (isTold) for (const listener of [...this.#listeners]) listener({ sessionId, code });
  }

  check(sessionId: string): void {
    const code = this.#ended.get(sessionId);
    if (code !== undefined) throw new GameError(code);
  }

  onRevoked(listener: (revoked: Revoked) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get listeners(): number {
    return this.#listeners.size;
  }
}

/** Rooms that tell a test how their matches ended. */
class ToldArena extends ProbeArena {
  readonly reports: MatchReport[] = [];
  readonly revocations = new TestRevocations();
  readonly endings: unknown[] = [];

  override onCreate({ services }: { services: RoomServices }): Promise<void> {
    const journal = this.journal(services);
    const settler = new MatchSettler({
      journal,
      replays: services.replays,
      results: { report: async (report) => void this.reports.push(report) },
      totals: services.totals.journal,
      onFault: (error) => services.log.error({ err: error }, 'not settled'),
      onLost: (matchId) => services.log.error({ matchId }, 'lost'),
    });
    const log: RoomServices['log'] = {
      info: (facts, text) =>
        void (text === 'match disposed' && this.endings.push((facts as { ending: unknown }).ending)),
      warn: (facts, text) => services.log.warn(facts, text),
      error: (facts, text) => services.log.error(facts, text),
    };
    return super.onCreate({ services: { ...services, journal, settler, log, revocations: this.revocations } });
  }

  protected journal(services: RoomServices): RoomServices['journal'] {
    return services.journal;
  }

  protected override setupMatch(seed: number): MatchSetup {
    return { ...super.setupMatch(seed), warmupTicks: 1, liveTicks: 30, endedTicks: 20 };
  }
}

class LongArena extends ToldArena {
  protected override setupMatch(seed: number): MatchSetup {
    return { ...super.setupMatch(seed), liveTicks: 9_000, endedTicks: 9_000 };
  }
}

/** Its result is on show for long. */
class LingeringArena extends ToldArena {
  protected override setupMatch(seed: number): MatchSetup {
    return { ...super.setupMatch(seed), endedTicks: 9_000 };
  }
}

/** Waits for players for ten ticks. */
class ImpatientArena extends LongArena {
  protected override readonly waitMinutesMax = 10 / (60 * 30);
}

class UnrecordedArena extends ToldArena {
  protected override journal(): RoomServices['journal'] {
    return new MemoryJournal({ totals: new JournalTotals(), capacityBytes: 0 });
  }
}

describe('the result of a match', () => {
  let game: GameServer;

  before(async () => {
    game = await GameServer.start({
      rooms: {
        told: ToldArena,
        long: LongArena,
        lingering: LingeringArena,
        impatient: ImpatientArena,
        unrecorded: UnrecordedArena,
      },
    });
  });
  afterEach(() => game.clear());
  after(() => game.close());

  async function play<R extends ToldArena>(name: string, players = 2): Promise<[R, ...TestPlayer[]]> {
    const room = await game.createRoom<R>(name);
    const joined: TestPlayer[] = [];
    for (let i = 0; i < players; i++) joined.push(await game.join(room.roomId));
    await until(() => room.match.world.seatsTaken === players, 'everybody to be seated');
    return [room, ...joined];
  }

  const reportOf = (room: ToldArena) => until(() => room.reports[0], 'the report');
  const endingOf = (room: ToldArena) => until(() => room.endings[0] as string | undefined, 'the end of the room');
  const idOf = (room: ToldArena, seat: number) => room.match.world.playerId(seat);
  const phase = (room: ToldArena, wanted: number) => until(() => room.match.world.phase === wanted, `phase ${wanted}`);

  it('is reported once, with everybody who played it, and the log says that it was completed', async () => {
    const [room] = await play('told');
    const ids = [idOf(room, 0), idOf(room, 1)];
    const { header, reason, ticks, participants } = await reportOf(room);
    assert.equal(header.matchId, room.match.id);
    assert.equal(reason, 'completed');
    assert.equal(ticks, room.match.world.tick);
    assert.deepEqual(participants.map(({ playerId }) => playerId).sort(), ids.sort());
    // Nobody fought: a draw.
    assert.ok(participants.every(({ rank, leftTick }) => rank === 1 && leftTick === undefined));
    assert.equal(await endingOf(room), 'completed');
    assert.equal(room.reports.length, 1);
  });

  it('has who left before it was decided behind all who stayed', async () => {
    const [room, leaver] = await play<ToldArena>('told', 3);
    await phase(room, PHASE_LIVE);
    const left = idOf(room, 0);
    await leaver!.leave();
    const { reason, participants } = await reportOf(room);
    assert.equal(reason, 'completed');
    const last = participants.at(-1)!;
    assert.equal(last.playerId, left);
    assert.equal(last.rank, 3);
    assert.ok(last.leftTick !== undefined && last.ticks <= last.leftTick);
    assert.deepEqual(Object.keys(last.score).sort(), ['assists', 'deaths', 'frags'], 'with the score it left with');
  });

  it('counts who leaves while it is on show as having played to the end, also when all leave then', async () => {
    const [room, ...players] = await play<LingeringArena>('lingering');
    await phase(room, PHASE_ENDED);
    await Promise.all(players.map((player) => player.leave()));
    const { reason, participants } = await reportOf(room);
    assert.equal(reason, 'completed');
    assert.equal(participants.length, 2);
    assert.ok(participants.every(({ leftTick }) => leftTick === undefined));
    assert.equal(await endingOf(room), 'completed');
  });

  it('of a match that everybody left is abandoned, and all of them have left', async () => {
    const [room, ...players] = await play<LongArena>('long');
    await phase(room, PHASE_LIVE);
    await Promise.all(players.map((player) => player.leave()));
    const { reason, participants } = await reportOf(room);
    assert.equal(reason, 'abandoned');
    assert.equal(participants.length, 2);
    assert.ok(participants.every(({ leftTick }) => leftTick !== undefined));
    assert.equal(await endingOf(room), 'abandoned');
  });

  it('of a match that is shut down says so, and nobody has left it', async () => {
    const [room] = await play<LongArena>('long');
    await phase(room, PHASE_LIVE);
    await room.disconnect(CloseCode.SERVER_SHUTDOWN);
    const { reason, participants } = await reportOf(room);
    assert.equal(reason, 'shutdown');
    assert.equal(participants.length, 2);
    assert.ok(participants.every(({ leftTick }) => leftTick === undefined));
    assert.equal(await endingOf(room), 'shutdown');
  });

  it('is given up when the match waits for players for too long', async () => {
    const [room, player] = await play<ImpatientArena>('impatient', 1);
    await until(() => player!.leftWith === CLOSE.MATCH_ENDED, 'to be shown out');
    const { reason, participants } = await reportOf(room);
    assert.equal(reason, 'abandoned');
    assert.deepEqual(
      participants.map(({ playerId, leftTick }) => [playerId, leftTick]),
      [[idOf(room, 0), undefined]],
      'who waited has not left',
    );
    assert.equal(await endingOf(room), 'abandoned');
    const [going] = await play<ImpatientArena>('impatient', 2);
    await phase(going, PHASE_LIVE);
    await until(() => going.match.world.tick > 60, 'time to pass');
    assert.deepEqual(going.reports, []);
  });

  it('is reported also when the journal cannot be written', async () => {
    const [room] = await play('unrecorded');
    assert.equal((await reportOf(room)).participants.length, 2);
    assert.equal(await endingOf(room), 'completed');
  });

  it('is not reported of a match that a bug has ended', async () => {
    const [room] = await play<LongArena>('long');
    room.bugInStep = new TypeError('a bug in the rules');
    assert.equal(await endingOf(room), 'failed');
    assert.deepEqual(room.reports, []);
  });

  describe('when a sign-in ends', () => {
    const signIn = (room: ToldArena, player: TestPlayer) => room.clients.getById(player.room.sessionId)!.auth!.signInId;

    for (const [code, close] of [
      ['ACCOUNT_BANNED', CLOSE.BANNED],
      ['AUTH_REVOKED', CLOSE.SIGNED_OUT],
    ] as const) {
      it(`by ${code}, its player is shown out with ${close}, keeps no seat, and nobody else notices`, async () => {
        const [room, player, witness] = await play<LongArena>('long');
        await phase(room, PHASE_LIVE);
        const { drops } = game.server.services.totals.room;
        room.revocations.end(signIn(room, player!), code);
        await until(() => player!.leftWith === close, 'the close');
        await until(() => !room.match.world.isUsed(0), 'the seat to be free');
        assert.equal(game.server.services.totals.room.drops, drops);
        const seen = witness!.patches;
        await until(() => witness!.patches > seen + 2, 'the match to go on');
        assert.equal(witness!.leftWith, undefined);
      });
    }

    it('a seat that is held for its lost connection is given up', async () => {
      const [room, player] = await play<LongArena>('long');
      const ended = signIn(room, player!);
      player!.room.reconnection.enabled = false;
      (room.clients.getById(player!.room.sessionId)!.ref as unknown as { terminate(): void }).terminate();
      await until(() => room.clients.length === 1, 'the drop');
      assert.ok(room.match.world.isUsed(0));
      room.revocations.end(ended, 'AUTH_REVOKED');
      await until(() => !room.match.world.isUsed(0), 'the seat to be free');
    });

    it('a seat that was reserved before cannot be taken', async () => {
      const [room] = await play<LongArena>('long', 1);
      const { token, identity } = await game.server.tokens.issueAnonymous();
      const seat = await matchMaker.joinById(room.roomId, {}, { token, headers: new Headers(), ip: '' });
      room.revocations.end(identity.sessionId, 'AUTH_REVOKED', { isTold: false });
      const late = game.socket(`/${seat.processId}/${room.roomId}?sessionId=${seat.sessionId}&_authToken=${token}`);
      const frame = await until(() => late.frames[0], 'an answer');
      assert.match(frame.toString('latin1'), /AUTH_REVOKED/);
    });

    it('rooms that are gone are told nothing', async () => {
      const [room, player] = await play<LongArena>('long', 1);
      assert.equal(room.revocations.listeners, 1);
      await player!.leave();
      await endingOf(room);
      assert.equal(room.revocations.listeners, 0);
    });
  });
});
