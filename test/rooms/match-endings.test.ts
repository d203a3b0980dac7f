import assert from 'node:assert/strict';
import { matchMaker } from '@colyseus/core';
import type { MatchSetup, Standing } from '../../src/kernel/simulation.ts';
import { parseSessionRecord } from '../../src/match/session-records.ts';
import { arena } from '../../src/sim/arena.ts';
import { PHASE_ENDED } from '../../src/sim/tuning.ts';
import { FRAME, GameServer, until } from '../fixtures/game-server.ts';
import { ProbeArena, ShortArena } from './probe-rooms.ts';

/** Its result cannot be told. */
class UntellableArena extends ShortArena {
  protected override readonly sim: typeof arena = {
    ...arena,
    standings: () => {
      throw new TypeError('a bug in the standings');
    },
  };

  protected override setupMatch(seed: number): MatchSetup {
    return { ...super.setupMatch(seed), endedTicks: 1 };
  }
}

/** Long enough between the end of play and the end of the match to look at it. */
class LingeringArena extends ShortArena {
  protected override setupMatch(seed: number): MatchSetup {
    return { ...super.setupMatch(seed), endedTicks: 3000 };
  }
}

describe('a match that ends, or goes on elsewhere,', () => {
  let game: GameServer;

  beforeEach(async () => {
    game = await GameServer.start({
      rooms: { arena: ProbeArena, short: ShortArena, untellable: UntellableArena, lingering: LingeringArena },
    });
  });
  afterEach(() => game.close());

  /** Takes a seat at the matchmaker and does not come. @returns where to come to */
  async function reserve(roomId: string): Promise<string> {
    const { token } = await game.server.tokens.issueAnonymous();
    const response = await fetch(`${game.endpoint}/matchmake/joinById/${roomId}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: '{}',
    });
    const { sessionId, processId } = (await response.json()) as { sessionId: string; processId: string };
    return `/${processId}/${roomId}?sessionId=${sessionId}`;
  }

  /** What the room answers to who comes to the seat. */
  async function refusalOf(seat: string): Promise<string> {
    const late = game.socket(seat);
    const frame = await until(() => late.frames[0] ?? (late.closed && Buffer.alloc(1)), 'an answer');
    assert.equal(frame[0], FRAME.ERROR, 'it is refused');
    return frame.toString('latin1');
  }

  const isGone = (roomId: string) => matchMaker.getLocalRoomById(roomId) === undefined;

  it('lets nobody take a seat during a drain that was given before it: that would hold it up', async () => {
    const { roomId } = await game.createRoom<ProbeArena>('arena');
    const player = await game.join(roomId);
    await player.avatar();
    const { matchId } = player.welcomes[0]!;
    const { services } = game.server;
    const seat = await reserve(roomId);

    const closing = game.server.close();
    await until(() => player.leftWith !== undefined, 'the drain to begin');
    assert.match(await refusalOf(seat), /DRAINING/);
    await closing;
    assert.equal((await services.replays.read(matchId)).header.result?.reason, 'shutdown');
    assert.deepEqual(
      game.log.filter(({ msg }) => msg.startsWith('drain took too long')),
      [],
    );
  });

  it('a drain counts nobody as dropped: no seat is held', async () => {
    const { roomId } = await game.createRoom<ProbeArena>('arena');
    await (await game.join(roomId)).avatar();
    await game.server.close();
    assert.equal(game.server.services.totals.room.drops, 0);
  });

  it('a bug in telling the result shows everybody out with MATCH_FAILED', async () => {
    const { roomId } = await game.createRoom<UntellableArena>('untellable');
    const players = [await game.join(roomId), await game.join(roomId)];
    for (const player of players) await until(() => player.leftWith === 4101, 'the close');
    await until(() => isGone(roomId), 'the room to go');
    assert.ok(game.bugs.some((line) => line.includes('a bug in the standings')));
  });

  it('a bug in telling the result of an abandoned match lets go of its journal, and keeps it', async () => {
    const room = await game.createRoom<UntellableArena>('untellable');
    const { services, id } = room.match;
    await (await game.join(room.roomId)).leave();
    await until(() => isGone(room.roomId), 'the room to go');
    const stateOf = async () => (await services.journal.list()).find(({ matchId }) => matchId === id)?.state;
    await until(async () => (await stateOf()) === 'unfinished', 'nobody to hold it any more');
    assert.ok(game.bugs.some((line) => line.includes('a bug in the standings')));
  });

  it('a match that is over for newcomers is offered to none from that tick on', async () => {
    const room = await game.createRoom<LingeringArena>('lingering');
    const players = [await game.join(room.roomId)];
    const seat = await reserve(room.roomId);
    players.push(await game.join(room.roomId));
    await until(() => room.match.world.phase === PHASE_ENDED, 'the end of play');
    const ended = room.match.world.phaseStartedTick;
    await until(() => room.match.world.tick > ended + 2, 'the tick to be over');
    const [listing] = await matchMaker.query({ roomId: room.roomId } as object);
    assert.equal(listing?.locked, true);
    assert.equal((listing.metadata as { phase?: string }).phase, 'ended');
    assert.match(await refusalOf(seat), /MATCH_ENDED/, 'who was offered it before comes too late');
    await Promise.all(players.map((player) => player.leave()));
  });

  it('the journal says who was seated before the entry that seats it: enough to seat it in another process', async () => {
    const room = await game.createRoom<ProbeArena>('arena');
    const identity = {
      playerId: 'a-0123456789012345678901',
      isAnonymous: true,
      role: 'player',
      sessionId: 's-0000000000000000000000',
    } as const;
    const player = await game.join(room.roomId, { name: 'Aelia' }, identity);
    await player.avatar();
    await room.plugins.journal.flush();
    const { sessions } = (await game.server.services.journal.load(room.match.id))!;
    const { signInId, ...token } = room.clients.getById(player.room.sessionId)!.auth!;
    assert.deepEqual(
      sessions.map(({ bytes }) => parseSessionRecord(bytes)).filter((record) => record !== undefined),
      [
        {
          kind: 'joined',
          seat: 0,
          sessionId: player.room.sessionId,
          name: 'Aelia',
          playerId: identity.playerId,
          auth: { ...token, signInId },
          token: player.room.reconnectionToken.split(':')[1],
        },
      ],
    );
    assert.equal(signInId, identity.sessionId);
  });

  it('who played is told to the others by name and pseudonym, as in the replay', async () => {
    const { roomId } = await game.createRoom<ShortArena>('short');
    const identity = {
      playerId: 'a-0123456789012345678901',
      isAnonymous: true,
      role: 'player',
      sessionId: 's-0000000000000000000000',
    } as const;
    await game.join(roomId, { name: 'Aelia' }, identity);
    const witness = await game.join(roomId, { name: 'Drusa' });
    await until(() => witness.leftWith !== undefined, 'the end');
    const end = witness.messages.find(({ type }) => type === 'match-ended')!.message;
    const standings = end['standings'] as Standing[];
    assert.deepEqual(standings.map(({ name }) => name).sort(), ['Aelia', 'Drusa']);
    assert.ok(!JSON.stringify(end).includes(identity.playerId));
    const replay = await game.server.services.replays.read(String(end['replayId']));
    assert.deepEqual(standings, replay.header.result?.standings);
  });
});
