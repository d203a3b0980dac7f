import assert from 'node:assert/strict';
import { Client, Predict } from '@colyseus/sdk';
import type { MatchSetup } from '../../src/kernel/simulation.ts';
import { arena } from '../../src/sim/arena.ts';
import { angleOf } from '../../src/sim/integers.ts';
import { BODY_RADIUS_UNITS, BUTTONS, HP_MAX, PHASE_LIVE, REWIND_MAX, UNITS_PER_METRE } from '../../src/sim/tuning.ts';
import { SEAT } from '../../src/sim/world.ts';
import { GameServer, type TestPlayer, until } from '../fixtures/game-server.ts';
import { TcpProxy } from '../fixtures/tcp-proxy.ts';
import { place, setSeat } from '../sim/arena-scene.ts';
import { WideArena } from './probe-rooms.ts';

const SHOOTER = 0;
const RUNNER = 1;
/** In the colosseum: nothing stands between the shooter and the lane, and no pickup lies in the lane. Metres. */
const SHOOTER_PLACE = { x: 33.5, y: 9 };
const LANE = { x: 43.5, top: 7, bottom: 11 };
/** How far in the past the shooter's SDK draws others, ms. */
const DELAY_MS = 100;
const HITS_WANTED = 5;

interface Judged {
  readonly rewind: number;
  readonly isHit: boolean;
  /** How far beside the line of fire the runner really was, 1/64 m. */
  readonly besideUnits: number;
}

/** Live from the start; remembers how each shot of the shooter was judged. */
class RangeArena extends WideArena {
  readonly judged: Judged[] = [];
  protected override readonly sim: typeof arena = {
    ...arena,
    step: (world, entry) => {
      const x = world.x(RUNNER);
      const y = world.y(RUNNER);
      arena.step(world, entry);
      const rewind = entry.intents.find(({ seat }) => seat === SHOOTER)?.intent.rewind ?? 0;
      for (const shot of world.events.shots) {
        if (shot.seat !== SHOOTER) continue;
        const alongX = shot.toX - shot.x;
        const alongY = shot.toY - shot.y;
        const beside = Math.abs((x - shot.x) * alongY - (y - shot.y) * alongX) / Math.hypot(alongX, alongY);
        this.judged.push({ rewind, isHit: shot.victim === RUNNER, besideUnits: beside });
      }
    },
  };

  protected override setupMatch(seed: number): MatchSetup {
    return { ...super.setupMatch(seed), warmupTicks: 1 };
  }
}

describe('lag compensation, from the picture to the hit', function () {
  this.timeout(30_000);
  let server: GameServer;
  let proxy: TcpProxy;

  before(async () => {
    server = await GameServer.start({ rooms: { range: RangeArena } });
    proxy = await TcpProxy.start(server.server.port);
  });
  after(async () => {
    await server?.close();
    await proxy?.close();
  });

  /** A player of the stock SDK on the far side of the proxy. */
  async function joinFromAfar(roomId: string): Promise<TestPlayer> {
    const { token } = await server.server.tokens.issueAnonymous();
    const client = new Client(`http://127.0.0.1:${proxy.port}`);
    client.auth.token = token;
    return server.adopt(await client.joinById(roomId, { name: 'Shooter' }));
  }

  it('hits the runner where an SDK drew it, who by then is elsewhere, with 120 ms of latency', async () => {
    proxy.lag = { oneWayMs: 60, jitterMs: 10 };
    const room = await server.createRoom<RangeArena>('range');
    const shooter = await joinFromAfar(room.roomId);
    assert.equal(await shooter.seat(), SHOOTER);
    const runner = await server.join(room.roomId, { name: 'Runner' });
    assert.equal(await runner.seat(), RUNNER);
    const { world } = room.match;
    await until(() => world.phase === PHASE_LIVE, 'the match to be live');
    place(world, SHOOTER, SHOOTER_PLACE.x, SHOOTER_PLACE.y);
    place(world, RUNNER, LANE.x, LANE.top);
    setSeat(world, RUNNER, SEAT.PROTECTED_UNTIL, 0);

    const predict = Predict.get(shooter.room, { mode: 'lerp', delay: DELAY_MS });
    predict.attachAll('avatars', { fields: ['x', 'y'] });
    await until(() => shooter.state?.avatars?.size === 2, 'the shooter to see the runner');
    const aimed = shooter.room.input<{ aim: number; buttons: number }>({ renderDelay: DELAY_MS });
    const legs = runner.room.input<{ moveY: number }>();
    legs.data.moveY = 127;
    let shooterSaw = shooter.patches;
    let runnerSaw = runner.patches;
    // Twice the radius beside the line of fire: where the runner is, no shot could hit it.
    const hitsOnThePast = (): Judged[] =>
      room.judged.filter(({ isHit, besideUnits }) => isHit && besideUnits > 2 * BODY_RADIUS_UNITS);

    await until(() => {
      setSeat(world, RUNNER, SEAT.HP, HP_MAX);
      if (runner.patches !== runnerSaw) {
        runnerSaw = runner.patches;
        // To and fro, so that nobody can hit by leading.
        const metres = world.y(RUNNER) / UNITS_PER_METRE;
        if (metres > LANE.bottom) legs.data.moveY = -127;
        if (metres < LANE.top) legs.data.moveY = 127;
        legs.send();
      }
      if (shooter.patches !== shooterSaw) {
        shooterSaw = shooter.patches;
        predict.tick(performance.now());
        const self = shooter.state.avatars.get(String(SHOOTER));
        const seen = shooter.state.avatars.get(String(RUNNER));
        const drawnX = Math.round(predict.value(seen, 'x'));
        const drawnY = Math.round(predict.value(seen, 'y'));
        aimed.data.aim = angleOf(drawnX - self.x, drawnY - self.y);
        aimed.data.buttons = BUTTONS.FIRE;
        aimed.send();
      }
      return hitsOnThePast().length >= HITS_WANTED;
    }, `${HITS_WANTED} hits on somebody who is elsewhere by then`);
    predict.dispose();

    for (const { rewind } of hitsOnThePast()) assert.ok(rewind > 0 && rewind <= REWIND_MAX, `${rewind}`);
    assert.deepEqual(server.bugs, []);
  });
});
