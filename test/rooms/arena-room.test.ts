import assert from 'node:assert/strict';
import { matchMaker } from '@colyseus/core';
import type { Client } from '@colyseus/sdk';
import { verifyReplay } from '../../src/kernel/replay-check.ts';
import { INPUT_CREDIT_MAX_TICKS } from '../../src/match/input-plugin.ts';
import { restoreMatch } from '../../src/match/restore.ts';
import { arena } from '../../src/sim/arena.ts';
import { type Body, stepBody } from '../../src/sim/body.ts';
import { AMMO_START, PHASE_ENDED, REWIND_MAX, ROCKETS_START } from '../../src/sim/tuning.ts';
import { FRAME, GameServer, type TestPlayer, until } from '../fixtures/game-server.ts';
import { BotArena, ProbeArena, ShortArena, WideArena } from './probe-rooms.ts';

const { ROOM_INPUT_RELIABLE, TIMED } = FRAME;

/** The first room of this class is made by one test alone. */
class FirstArena extends ProbeArena {}

describe('an arena room', () => {
  let server: GameServer;

  before(async () => {
    server = await GameServer.start({
      rooms: {
        arena: ProbeArena,
        bots: BotArena,
        short: ShortArena,
        wide: WideArena,
        first: FirstArena,
      },
    });
  });
  afterEach(() => server.clear());
  after(() => server.close());

  async function roomWith<R extends ProbeArena = ProbeArena>(
    players: number,
    name = 'arena',
  ): Promise<[R, ...TestPlayer[]]> {
    const room = await server.createRoom<R>(name);
    const joined: TestPlayer[] = [];
    for (let i = 0; i < players; i++) joined.push(await server.join(room.roomId, { name: `Player ${i}` }));
    for (const player of joined) await player.avatar();
    return [room, ...joined];
  }

  /** What `ask` is refused with. */
  async function refusal(ask: Promise<unknown>): Promise<string> {
    try {
      await ask;
    } catch (error) {
      const { message, reason } = error as { message: string; reason?: { code: string } };
      return reason?.code ?? message.split(':')[0]!;
    }
    throw new assert.AssertionError({ message: 'it was not refused' });
  }

  /** Breaks the connection as a lost network does. */
  function cut(room: ProbeArena, player: TestPlayer): void {
    const client = room.clients.getById(player.room.sessionId)!;
    (client.ref as unknown as { terminate(): void }).terminate();
  }

  const countOf = (counts: Iterable<readonly [string, number]>, code: string): number => new Map(counts).get(code) ?? 0;
  const totals = () => server.server.services.totals.room;

  describe('welcomes', () => {
    it('a player with its seat and the match, and shows its avatar and score under that seat', async () => {
      const [room, first, second] = await roomWith(2);
      assert.deepEqual(first!.welcomes, [{ seat: 0, matchId: room.match.id }]);
      assert.deepEqual(second!.welcomes, [{ seat: 1, matchId: room.match.id }]);
      assert.equal((await second!.avatar())['name'], 'Player 1');
      assert.equal(first!.state.matchId, room.match.id);
      const rows = await until(() => first!.state.scores.size === 2 && [...first!.state.scores.values()], 'two scores');
      assert.deepEqual(
        rows.map(({ seat, name, isBot, isConnected }) => ({ seat, name, isBot, isConnected })),
        [0, 1].map((seat) => ({ seat, name: `Player ${seat}`, isBot: false, isConnected: true })),
      );
    });

    it('a player without a name under one of its own', async () => {
      const room = await server.createRoom<ProbeArena>('arena');
      const player = await server.join(room.roomId);
      assert.match(String((await player.avatar())['name']), /^\S.{1,19}$/u);
    });

    for (const [what, name] of Object.entries({
      'control characters': 'a\u0007b',
      'a line break': 'a\nb',
      'nothing but zero-width characters': '\u200b\u200d\ufeff',
      'a right-to-left override': 'abc\u202edef',
      '10,000 characters': 'x'.repeat(10_000),
      'no characters': '',
      'no text': { toString: 'x' },
      'nothing at all': null,
    })) {
      it(`nobody whose name has ${what}`, async () => {
        const room = await server.createRoom<ProbeArena>('arena');
        const before = countOf(totals().joinsRefused.collect(), 'NAME_INVALID');
        assert.equal(await refusal(server.join(room.roomId, { name })), 'NAME_INVALID');
        assert.equal(countOf(totals().joinsRefused.collect(), 'NAME_INVALID'), before + 1);
        assert.equal(room.clients.length, 0);
      });
    }

    it('nobody twice: another connection of the same player is refused SEAT_TAKEN, unless it takes over', async () => {
      const [room] = await roomWith(1);
      const identity = {
        playerId: 'a-0000000000000000000000',
        isAnonymous: true,
        role: 'player',
        sessionId: 's-0000000000000000000000',
      } as const;
      const player = await server.join(room.roomId, {}, identity);
      assert.equal(await refusal(server.join(room.roomId, { takeOver: false }, identity)), 'SEAT_TAKEN');
      await player.patched();
      assert.equal(player.leftWith, undefined);
      await player.leave();
      const again = await server.join(room.roomId, {}, identity);
      assert.equal(again.leftWith, undefined, 'after it left it may come back');
    });

    it('nobody once the match has ended', async () => {
      const [room] = await roomWith<ShortArena>(2, 'short');
      await until(() => room.match.world.phase === PHASE_ENDED, 'the end');
      assert.match(await refusal(server.join(room.roomId)), /is locked/);
    });
  });

  describe('fills up with bots', () => {
    it('as far as it is told, and they give way to people one by one', async () => {
      const room = await server.createRoom<BotArena>('bots');
      const kinds = () => {
        const { world } = room.match;
        return Array.from({ length: world.capacity }, (_, seat) =>
          world.isUsed(seat) ? (world.isBot(seat) ? 'bot' : 'player') : '-',
        )
          .sort()
          .join(' ');
      };
      await until(() => room.entries.length > 5, 'some ticks');
      assert.equal(kinds(), '- - - -', 'nobody plays for an empty room');
      for (const wanted of [
        '- bot bot player',
        '- bot player player',
        '- player player player',
        'player player player player',
      ]) {
        await (await server.join(room.roomId)).avatar();
        await until(() => kinds() === wanted, wanted);
      }
      assert.match(await refusal(server.join(room.roomId)), /MATCH_FULL|locked/);
    });

    it('which give up their seats when all of them are taken', async () => {
      const [room, player] = await roomWith<BotArena>(1, 'bots');
      await until(() => room.match.world.seatsTaken === 3, 'two bots');
      // Faster than the room takes bots away: both come within a tick.
      const [second, third] = await Promise.all([server.join(room.roomId), server.join(room.roomId)]);
      const seats = await Promise.all([player!, second, third].map((one) => one.seat()));
      assert.equal(new Set(seats).size, 3);
      await until(
        () => room.match.world.seatsTaken === 3 && ![0, 1, 2, 3].some((seat) => room.match.world.isBot(seat)),
        'people only',
      );
    });
  });

  describe('when a connection is lost', () => {
    it('keeps seat, fighter and view, and the player resumes by itself', async () => {
      const [room, player, witness] = await roomWith(2, 'wide');
      const seat = await player!.seat();
      const before = { drops: totals().drops, resumes: totals().resumes };
      const view = room.clients.getById(player!.room.sessionId)!.view;
      const scoreOf = () => witness!.state.scores.get(String(seat));
      cut(room, player!);
      await until(() => scoreOf().isConnected === false, 'the others to see that it is away');
      assert.ok(room.match.world.isUsed(seat), 'its fighter stays');
      await until(() => player!.resumes === 1, 'the resume');
      await until(() => player!.welcomes.length === 2, 'the second welcome');
      assert.deepEqual(player!.welcomes[1], player!.welcomes[0]);
      await until(() => scoreOf().isConnected === true, 'the others to see that it is back');
      assert.equal(room.clients.getById(player!.room.sessionId)!.view, view);
      assert.deepEqual(
        { drops: totals().drops, resumes: totals().resumes },
        { drops: before.drops + 1, resumes: before.resumes + 1 },
      );
      const input = player!.room.input<{ moveX: number }>();
      const seq = input.send();
      await until(() => input.lastProcessed >= seq, 'inputs to count again');
      await player!.patched();
    });

    it('holds the seat against the same player with another connection', async () => {
      const [room] = await roomWith(1);
      const identity = {
        playerId: 'a-1111111111111111111111',
        isAnonymous: true,
        role: 'player',
        sessionId: 's-0000000000000000000000',
      } as const;
      const player = await server.join(room.roomId, {}, identity);
      player.room.reconnection.enabled = false;
      await player.avatar();
      cut(room, player);
      await until(() => room.clients.length === 1, 'the loss');
      assert.equal(await refusal(server.join(room.roomId, { takeOver: false }, identity)), 'SEAT_TAKEN');
    });

    it('gives the seat back to the newest token alone, once', async () => {
      const [room, player] = await roomWith(1);
      const token = player!.room.reconnectionToken;
      player!.room.reconnection.enabled = false;
      cut(room, player!);
      await until(() => room.clients.length === 0, 'the loss');
      const client: Client = await server.client();
      assert.match(await refusal(client.reconnect(`${room.roomId}:not-the-token`)), /./);
      const resumed = server.adopt(await client.reconnect(token));
      assert.equal(await resumed.seat(), 0);
      assert.match(await refusal(client.reconnect(token)), /./);
      await resumed.patched();
      assert.equal(resumed.leftWith, undefined);
    });

    it('keeps no seat for who was thrown out', async () => {
      const [room, player] = await roomWith(2);
      room.kickClient(player!.room.sessionId, 4103, 'RATE_LIMITED');
      await until(() => player!.leftWith === 4103, 'the close');
      await until(() => !room.match.world.isUsed(0), 'the seat to be free');
      const next = await server.join(room.roomId);
      assert.equal(await next.seat(), 0);
    });
  });

  describe('at the end of the match', () => {
    it('tells the result, closes with MATCH_ENDED and leaves a replay that verifies', async () => {
      const [room, first, second] = await roomWith<ShortArena>(2, 'short');
      const { id, services } = room.match;
      await until(() => first!.leftWith === 4100 && second!.leftWith === 4100, 'both to be shown out');
      const end = first!.messages.find(({ type }) => type === 'match-ended')!.message;
      assert.equal(end['replayId'], id);
      assert.equal((end['standings'] as unknown[]).length, 2);
      await until(async () => (await services.journal.load(id)) === undefined, 'the journal to be archived');
      const replay = await services.replays.read(id);
      assert.equal(replay.header.result?.reason, 'completed');
      assert.equal(replay.header.players.length, 2);
      assert.equal(verifyReplay(arena, replay).kind, 'same');
      assert.equal(matchMaker.getLocalRoomById(room.roomId), undefined);
    });
  });

  describe('with a bug', () => {
    it('in a handler counts it and goes on, for the one who met it and everybody else', async () => {
      const [, player, other] = await roomWith(2);
      const before = countOf(totals().faults.collect(), 'onMessage');
      player!.room.send('boom');
      await until(() => countOf(totals().faults.collect(), 'onMessage') === before + 1, 'the fault to be counted');
      await Promise.all([player!.patched(), other!.patched()]);
      assert.ok(server.bugs.some((line) => line.startsWith('bug in a room')));
    });

    it('in a command answers INTERNAL and nothing of what it was', async () => {
      const [, player] = await roomWith(1);
      const before = countOf(totals().refusals.collect(), 'INTERNAL');
      const reason = await player!.room.request('boom-command', {}).catch((error: { reason: unknown }) => error.reason);
      assert.deepEqual(reason, { code: 'INTERNAL' });
      assert.equal(countOf(totals().refusals.collect(), 'INTERNAL'), before + 1);
      await player!.patched();
    });

    it('in the step ends that match alone with MATCH_FAILED, and keeps its journal', async () => {
      const [room, player] = await roomWith(1);
      const [, elsewhere] = await roomWith(1);
      const { id, services } = room.match;
      const before = countOf(totals().faults.collect(), 'step');
      room.bugInStep = new RangeError('a bug in the step');
      await until(() => player!.leftWith === 4101, 'the close');
      assert.deepEqual(player!.codes(), ['MATCH_FAILED']);
      assert.equal(countOf(totals().faults.collect(), 'step'), before + 1);
      await until(() => matchMaker.getLocalRoomById(room.roomId) === undefined, 'the room to go');
      // The room is gone before its journal is closed.
      const isKept = async () =>
        (await services.journal.list()).some(({ matchId, state }) => matchId === id && state === 'unfinished');
      await until(isKept, 'the journal to be kept without an end');
      const recorded = (await services.journal.load(id))!;
      assert.equal(recorded.entries.length, room.entries.length, 'every whole tick is in it');
      assert.equal(restoreMatch(arena, recorded).divergedAtTick, undefined);
      await elsewhere!.patched(5);
    });
  });

  describe('answers commands', () => {
    it('with what they return, or a coded refusal with its facts', async () => {
      const [, player] = await roomWith(1);
      assert.deepEqual(await player!.room.request('double', { n: 21 }), { n: 42 });
      const reasonOf = (type: string, payload: unknown) =>
        player!.room.request(type, payload).catch((error: { reason: unknown }) => error.reason);
      assert.deepEqual(await reasonOf('refuse', {}), { code: 'MATCH_FULL', seats: 2 });
      assert.deepEqual(await reasonOf('double', { n: 'x' }), { code: 'INVALID_INPUT', at: 'n' });
      assert.deepEqual(await reasonOf('double', { n: 1, more: 2 }), { code: 'INVALID_INPUT', at: '' });
      assert.deepEqual(await reasonOf('double', undefined), { code: 'INVALID_INPUT', at: '' });
    });

    it('that nobody waits for with a notice when they are refused', async () => {
      const [, player] = await roomWith(1);
      player!.room.send('refuse', {});
      await until(() => player!.codes().includes('MATCH_FULL'), 'the notice');
    });

    it('up to a rate, above it RATE_LIMITED, and later again', async () => {
      const [, player] = await roomWith(1);
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, n) =>
          player!.room.request('double', { n }).then(
            () => 'OK',
            (error: { reason: { code: string } }) => error.reason.code,
          ),
        ),
      );
      assert.deepEqual(new Set(answers), new Set(['OK', 'RATE_LIMITED']));
      assert.deepEqual(new Set(answers.slice(0, 20)), new Set(['OK']));
      await until(
        () =>
          player!.room.request('double', { n: 1 }).then(
            () => true,
            () => false,
          ),
        'the budget to refill',
      );
    });

    it('about predictions by counting what clients report', async () => {
      const [, player] = await roomWith(1);
      const before = { corrections: totals().corrections, desyncs: totals().desyncs };
      await player!.room.request('report', { corrections: 3, desyncs: 1, maxErrorUnits: 2, ticks: 300 });
      assert.deepEqual(
        { corrections: totals().corrections, desyncs: totals().desyncs },
        { corrections: before.corrections + 3, desyncs: before.desyncs + 1 },
      );
    });

    it('that it does not know by ignoring and counting them', async () => {
      const [, player] = await roomWith(1);
      const before = totals().unknownMessages;
      player!.room.send('from-the-future', { x: 1 });
      player!.room.sendBytes('bytes-too', Uint8Array.of(1));
      await until(() => totals().unknownMessages === before + 2, 'both to be counted');
      await player!.patched();
      assert.equal(player!.leftWith, undefined);
    });
  });

  it('runs the hooks of its plugins in the first room of a class already', async () => {
    const [room, player] = await roomWith<FirstArena>(1, 'first');
    const client = room.clients.getById(player!.room.sessionId)!;
    assert.ok((room.plugins.interest.visibleTo(client)?.length ?? 0) > 0, 'it sees itself');
    room.plugins.ping.pingAll();
    assert.ok(room.plugins.ping.get(client.sessionId) !== undefined);
    await player!.leave();
    await until(() => matchMaker.getLocalRoomById(room.roomId) === undefined, 'the room to go');
    assert.equal(room.plugins.interest.visibleTo(client), undefined, 'onLeave of interest ran');
    assert.equal(room.plugins.ping.get(client.sessionId), undefined, 'onLeave of ping ran');
    assert.ok(!room.plugins.tick.isRunning, 'onDispose of tick ran');
  });

  it('publishes phase, tick, p99 and overruns for panels', async () => {
    const [room] = await roomWith(1);
    const metadata = await until(async () => {
      const [listing] = await matchMaker.query({ roomId: room.roomId } as object);
      const found = listing?.metadata as Record<string, unknown> | undefined;
      return (found?.['tick'] as number) > 0 && found;
    }, 'the listing to be refreshed');
    assert.equal(metadata['phase'], 'warm-up');
    assert.equal(metadata['matchId'], room.match.id);
    for (const key of ['tickP99Ms', 'overruns', 'bots']) assert.equal(typeof metadata[key], 'number', key);
  });

  it('does not notice when the wall clock is set back by an hour', async () => {
    const [room, player] = await roomWith(1);
    const { now } = Date;
    const before = room.clock.elapsedTime;
    try {
      Date.now = () => now() - 3_600_000;
      await player!.patched(6);
    } finally {
      Date.now = now;
    }
    const passedMs = room.clock.elapsedTime - before;
    assert.ok(passedMs > 0 && passedMs < 60_000, `${passedMs} ms`);
  });

  it('shows ammunition, rockets, dash and velocity to their owner alone', async () => {
    const [room, own, other] = await roomWith(2, 'wide');
    const seen = await until(() => own!.state.avatars.get('1'), 'the other avatar');
    // The match may become live at any time, which gives back what was fired before.
    do {
      for (let i = 0; i < 10 || room.match.world.ammo(1) === AMMO_START; i++) {
        const input = other!.room.input<{ moveX: number; moveY: number; buttons: number }>();
        Object.assign(input.data, { moveX: i % 2 === 0 ? 127 : -127, moveY: 64, buttons: 5 });
        const seq = input.send();
        await until(() => input.lastProcessed >= seq, 'the step');
      }
      await own!.patched();
    } while (room.match.world.ammo(1) === AMMO_START);
    const mine = await other!.avatar();
    assert.ok(room.match.world.ammo(1) < AMMO_START);
    await until(
      () => mine['ammo'] === room.match.world.ammo(1) && mine['dash'] === room.match.world.dash(1),
      'its owner to see it',
    );
    assert.equal(mine['rockets'], ROCKETS_START);
    for (const field of ['ammo', 'rockets', 'dash', 'vx', 'vy']) assert.ok(!seen[field], `${field} is ${seen[field]}`);
  });

  describe('with inputs', () => {
    it('acknowledges every one of them in order', async () => {
      const [room, player] = await roomWith(1);
      const input = player!.room.input<{ moveX: number; aim: number }>();
      for (let seq = 1; seq <= 20; seq++) {
        input.data.aim = seq;
        assert.equal(input.send(), seq);
        if (seq % 4 === 0) await player!.patched(3);
      }
      await until(() => input.lastProcessed === 20, 'the last acknowledgement');
      assert.deepEqual(
        room.intentsOf(0).map(({ aim }) => aim),
        Array.from({ length: 20 }, (_, index) => index + 1),
      );
    });

    it('lets who sends ten times as many move no farther, acknowledges all and says RATE_LIMITED', async () => {
      const [room, flooder] = await roomWith(1);
      const { world } = room.match;
      const start = bodyOf(world);
      const sideways = freeDirection(start, room);
      const firstTick = room.entries.length;
      const input = flooder!.room.input<{ moveX: number; moveY: number }>();
      Object.assign(input.data, sideways);
      let sent = 0;
      await until(() => {
        // About 300 a second, in patches' time.
        while (sent < 10 * (room.entries.length - firstTick) && sent < 300) sent = input.send();
        return sent >= 300;
      }, '300 inputs to be sent');
      await until(() => flooder!.codes().includes('RATE_LIMITED'), 'the notice');
      await until(() => input.lastProcessed === sent, 'all to be acknowledged');
      const ticks = room.entries.length - firstTick;
      const taken = room.intentsOf(0).length;
      assert.ok(taken <= ticks + INPUT_CREDIT_MAX_TICKS, `${taken} steps in ${ticks} ticks`);
      for (const { intents } of room.entries) assert.ok(intents.length <= 4);
      assert.equal(flooder!.leftWith, undefined);
    });

    it('moves exactly one step of the body for each', async () => {
      const [room, player] = await roomWith(1);
      const { world } = room.match;
      const body = bodyOf(world);
      const direction = freeDirection(body, room);
      const input = player!.room.input<{ moveX: number; moveY: number }>();
      Object.assign(input.data, direction);
      for (let i = 0; i < 5; i++) input.send();
      await until(() => room.intentsOf(0).length === 5, 'five steps');
      for (let i = 0; i < 5; i++) stepBody(body, { ...direction, aim: 0, buttons: 0 }, world.map);
      assert.deepEqual(bodyOf(world), body);
    });
  });

  describe('compensates for lag', () => {
    it('by what the SDK says it displayed, without any code of the client', async () => {
      const [room, player] = await roomWith(1);
      await player!.patched(10);
      const input = player!.room.input<{ aim: number }>({ renderDelay: 100 });
      for (let aim = 1; aim <= 5; aim++) {
        input.data.aim = aim;
        input.send();
        await player!.patched(1);
      }
      await until(() => room.intentsOf(0).length === 5, 'the inputs');
      for (const { rewind } of room.intentsOf(0)) {
        // 100 ms are 24 eighths of a tick; a busy machine adds to it, and 500 ms bound it.
        assert.ok(Number.isInteger(rewind) && rewind >= 16 && rewind <= REWIND_MAX, `${rewind}`);
      }
    });

    it('within its bounds whatever a client stamps', async () => {
      const stamps: [stamp: number | undefined, isLegal: (rewind: number) => boolean][] = [
        [undefined, (rewind) => rewind === 0],
        [0, (rewind) => rewind === 0],
        [1, (rewind) => rewind === REWIND_MAX],
        [1e9, (rewind) => rewind <= 8],
        [-5000, (rewind) => rewind === 0],
        [Number.NaN, (rewind) => rewind === 0],
        [Number.POSITIVE_INFINITY, (rewind) => rewind <= 8],
        [Number.NEGATIVE_INFINITY, (rewind) => rewind === 0],
        [Number.MAX_VALUE, (rewind) => rewind <= 8],
      ];
      const room = await server.createRoom<ProbeArena>('arena');
      const players = await Promise.all(stamps.map(() => server.raw(room.roomId)));
      await until(() => room.clock.elapsedTime > 700, 'a past to look back to');
      for (const [index, [stamp]] of stamps.entries()) {
        const head = Buffer.alloc(10);
        head[0] = ROOM_INPUT_RELIABLE | TIMED;
        head[1] = 0xcb;
        if (stamp !== undefined) head.writeDoubleLE(stamp, 2);
        // The stamps of one client add up on the wire, so that what follows is as strange.
        for (let i = 0; i < 5; i++) {
          players[index]!.send(stamp === undefined ? ROOM_INPUT_RELIABLE : head, Uint8Array.of(0x82, index));
        }
      }
      for (const [index, [stamp, isLegal]] of stamps.entries()) {
        const intents = await until(() => {
          const own = room.entries.flatMap((entry) => entry.intents).filter(({ intent }) => intent.aim === index);
          return own.length === 5 && own.map(({ intent }) => intent.rewind);
        }, `the inputs stamped ${stamp}`);
        assert.ok(isLegal(intents[0]!), `${stamp} counts as ${intents[0]}`);
        for (const rewind of intents) {
          assert.ok(Number.isInteger(rewind) && rewind >= 0 && rewind <= REWIND_MAX, `${stamp}: ${rewind}`);
        }
      }
    });
  });

  function bodyOf(world: ProbeArena['match']['world']): Body {
    return { x: world.x(0), y: world.y(0), vx: world.vx(0), vy: world.vy(0), dash: world.dash(0) };
  }

  /** The axis along which the body gets farthest in five steps. */
  function freeDirection(from: Body, room: ProbeArena): { moveX: number; moveY: number } {
    const directions = [
      { moveX: 127, moveY: 0 },
      { moveX: -127, moveY: 0 },
      { moveX: 0, moveY: 127 },
      { moveX: 0, moveY: -127 },
    ];
    const reach = directions.map((direction) => {
      const body = { ...from };
      for (let i = 0; i < 5; i++) stepBody(body, { ...direction, aim: 0, buttons: 0 }, room.match.world.map);
      return Math.abs(body.x - from.x) + Math.abs(body.y - from.y);
    });
    return directions[reach.indexOf(Math.max(...reach))]!;
  }
});
