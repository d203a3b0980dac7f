import assert from 'node:assert/strict';
import type { ProbeFacts } from '../../loadtest/driver/probe-player.ts';
import { Probes } from '../../loadtest/driver/probes.ts';
import { Score } from '../../schema/arena-state.ts';
import { CLOSE } from '../../src/kernel/errors.ts';
import type { MatchSetup } from '../../src/kernel/simulation.ts';
import type { ArenaWorld } from '../../src/sim/arena.ts';
import { GameServer, until } from '../fixtures/game-server.ts';
import { TcpProxy } from '../fixtures/tcp-proxy.ts';
import { ProbeArena } from '../rooms/probe-rooms.ts';

/** Live at once, with room for more than those who come. */
class LiveArena extends ProbeArena {
  /** Ticks for which the first player's score is shown as what it is not. */
  lies = 0;

  protected override setupMatch(seed: number): MatchSetup {
    return { ...super.setupMatch(seed), warmupTicks: 1 };
  }

  protected override project(world: ArenaWorld, tick: number): void {
    super.project(world, tick);
    if (this.lies-- > 0) this.state.scores.get('0')!.frags = 99;
  }
}

describe('probes', function () {
  this.timeout(60_000);
  let game: GameServer;
  let proxy: TcpProxy;
  let probes: Probes;

  before(async () => {
    game = await GameServer.start({ rooms: { live: LiveArena } });
    proxy = await TcpProxy.start(game.server.port);
  });
  after(async () => {
    await proxy?.close();
    await game?.close();
  });
  beforeEach(async () => {
    const endpoint = `http://127.0.0.1:${proxy.port}`;
    probes = await Probes.start({ endpoint, roomName: 'live', seed: 3, minUptimeMs: 0 });
  });
  afterEach(() => probes.stop());

  const read = async (matchId: string) => [(await game.server.services.journal.load(matchId))!];
  const all = (test: (facts: ProbeFacts) => boolean) => async () => (await probes.facts()).every(test);

  it('see in every frame what the journal has, through a lost connection as well', async () => {
    const [first] = [await probes.join(), await probes.join(), await probes.join()];
    await until(
      all(({ patches }) => patches > 60),
      'everybody to see two seconds',
    );
    proxy.reset();
    await until(
      all(({ resumes }) => resumes === 1),
      'everybody to be back',
    );
    const atMs = (await probes.facts())[0]!.patches;
    await until(
      all(({ patches }) => patches > atMs + 60),
      'two seconds more',
    );
    const facts = await probes.facts();
    const { matchId } = facts[0]!;
    for (const { roomId, drops, identityLosses, spuriousCallbacks, pauses, inputsSent, seat } of facts) {
      assert.deepEqual(
        { roomId, drops, identityLosses, spuriousCallbacks },
        { roomId: first!.roomId, drops: 1, identityLosses: 0, spuriousCallbacks: 0 },
      );
      assert.ok(seat >= 0 && inputsSent > 60);
      assert.ok(
        pauses.some(({ ms }) => ms >= 100),
        'being away is a pause',
      );
    }
    const verdicts = await probes.judge(() => read(matchId));
    assert.equal(verdicts.length, 3);
    for (const { frames, mismatches, ticksTakenBack, othersMismatched, divergedAtTick } of verdicts) {
      assert.ok(frames > 100);
      assert.deepEqual(
        { mismatches, ticksTakenBack, othersMismatched, divergedAtTick },
        { mismatches: 0, ticksTakenBack: 0, othersMismatched: 0, divergedAtTick: undefined },
      );
    }
    await probes.play(false);
    await until(
      all(({ inputsUnacked }) => inputsUnacked === 0),
      'every input to be answered',
    );
  });

  it('notice what is not as it was, and how a match ended for them', async () => {
    const { roomId } = await probes.join();
    const seen = async (): Promise<ProbeFacts> => (await probes.facts())[0]!;
    await until(
      all(({ patches, matchId }) => patches > 30 && matchId !== ''),
      'a second to be seen',
    );
    const { matchId, patches } = await seen();
    const room = game.room<LiveArena>(roomId);
    room.lies = 3;
    await until(
      all((facts) => facts.patches > patches + 30),
      'a second more',
    );
    const [verdict] = await probes.judge(() => read(matchId));
    assert.deepEqual([verdict!.mismatches, verdict!.trailing, verdict!.ticksTakenBack], [3, 0, 0]);
    await room.disconnect(CLOSE.MATCH_FAILED);
    await until(
      all(({ leftWith }) => leftWith === CLOSE.MATCH_FAILED),
      'the close code',
    );
    assert.equal((await probes.facts())[0]!.isOpen, false);
  });

  it('notice objects that are others after a resume, and callbacks for what never left', async () => {
    const { roomId } = await probes.join();
    await until(
      all(({ patches }) => patches > 10),
      'some patches',
    );
    const room = game.room<LiveArena>(roomId);
    proxy.cut();
    await until(() => room.clients.length === 0, 'the room to miss its player');
    const { scores } = room.state;
    scores.delete('0');
    scores.set('0', new Score());
    proxy.heal();
    await until(
      all(({ resumes, patches }) => resumes === 1 && patches > 20),
      'the player to be back',
    );
    const [facts] = await probes.facts();
    assert.deepEqual([facts!.identityLosses, facts!.spuriousCallbacks], [1, 1]);
  });

  it('say why they could not join', async () => {
    await assert.rejects(probes.join('no-such-room'), /not found|no-such-room|MATCH/i);
  });
});
