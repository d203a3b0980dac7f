import assert from 'node:assert/strict';
import type { SeatEvent } from '../../src/kernel/simulation.ts';
import { type ArenaIntent, type ArenaWorld, arena } from '../../src/sim/arena.ts';
import { type Body, stepBody } from '../../src/sim/body.ts';
import {
  AMMO_MAX,
  BUTTONS,
  HP_MAX,
  IDLE_AFTER_TICKS,
  MAX_INTENTS_PER_TICK,
  PHASE_ENDED,
  PHASE_LIVE,
  PHASE_WARM_UP,
  PICKUP_AMMO,
  PICKUP_GIVES,
  PICKUP_HEALTH,
  PICKUP_RESPAWN_TICKS,
} from '../../src/sim/tuning.ts';
import { faultOf, SEAT } from '../../src/sim/world.ts';
import { joins, liveWorld, NEUTRAL, place, setSeat, tick, ticks, tickUntil } from './arena-scene.ts';

const EAST: ArenaIntent = { ...NEUTRAL, moveX: 127 };

function bodyOf(world: ArenaWorld, seat: number): Body {
  return { x: world.x(seat), y: world.y(seat), vx: world.vx(seat), vy: world.vy(seat), dash: world.dash(seat) };
}

describe('sim/match rules', () => {
  describe('phases', () => {
    const setup = { seed: 9, capacity: 4, minPlayers: 2, warmupTicks: 10, liveTicks: 20, endedTicks: 5 };

    it('the warm-up lasts its time and until enough are seated', () => {
      const short = arena.create(setup);
      tick(short, [], joins(0, 1));
      tickUntil(short, () => short.phase !== PHASE_WARM_UP);
      assert.equal(short.tick, 11, 'the tick after ten of warm-up is the first live one');
      assert.deepEqual([short.phaseStartedTick, short.phaseEndsTick], [10, 30]);

      const lonely = arena.create(setup);
      tick(lonely, [], joins(0));
      ticks(lonely, 50);
      assert.equal(lonely.phase, PHASE_WARM_UP);
      tick(lonely, [], joins(3));
      assert.equal(lonely.phase, PHASE_LIVE);
    });

    it('going live wipes scores and rockets, refills pickups and gives everybody a new life', () => {
      const world = arena.create(setup);
      tick(world, [], joins(0, 1));
      setSeat(world, 0, SEAT.FRAGS, 3);
      setSeat(world, 1, SEAT.DEATHS, 3);
      setSeat(world, 1, SEAT.HP, 5);
      world.words[world.pickupsAt] = 1000;
      tick(world, [{ seat: 0, intent: { ...NEUTRAL, buttons: BUTTONS.ROCKET } }]);
      tickUntil(world, () => world.phase !== PHASE_WARM_UP);
      assert.deepEqual([world.frags(0), world.deaths(1), world.hp(1), world.isTaken(0)], [0, 0, HP_MAX, false]);
      assert.equal(world.rocketId(0), 0);
      assert.deepEqual([world.bornTick(0), world.bornTick(1)], [10, 10]);
      assert.ok(world.protectedTicks(0) > 0);
    });

    it('after the end nothing moves, nobody is hurt, nobody joins, and leaving still works', () => {
      const world = arena.create(setup);
      tick(world, [], joins(0, 1));
      tickUntil(world, () => world.phase === PHASE_ENDED, [{ seat: 0, intent: { ...EAST, buttons: BUTTONS.ROCKET } }]);
      assert.equal(world.tick, 31);
      const body = bodyOf(world, 0);
      tick(world, [{ seat: 0, intent: { ...EAST, buttons: 7 } }], joins(2));
      assert.deepEqual(bodyOf(world, 0), body);
      assert.ok(!world.isUsed(2) && world.isUsed(1));
      for (let slot = 0; slot < world.rocketSlots; slot++) assert.equal(world.rocketId(slot), 0);
      assert.equal(arena.isOver(world), false);
      tick(world, [], [{ kind: 'leave', seat: 1 }]);
      assert.ok(!world.isUsed(1));
      tickUntil(world, () => arena.isOver(world));
      assert.equal(world.tick, world.phaseEndsTick);
    });
  });

  describe('intents', () => {
    it('each intent of a tick moves the body exactly one step, up to four', () => {
      for (let count = 0; count <= 6; count++) {
        const world = liveWorld(2);
        const body = bodyOf(world, 0);
        tick(
          world,
          Array.from({ length: count }, () => ({ seat: 0, intent: EAST })),
        );
        for (let i = 0; i < Math.min(count, MAX_INTENTS_PER_TICK); i++) stepBody(body, EAST, world.map);
        assert.deepEqual(bodyOf(world, 0), body, `${count} intents`);
      }
    });

    it('a body without a frame waits eight ticks for it, then coasts to rest, and a frame ends that', () => {
      const world = liveWorld(2);
      place(world, 0, 4.5, 27.5);
      for (let i = 0; i < 10; i++) tick(world, [{ seat: 0, intent: EAST }]);
      const body = bodyOf(world, 0);
      ticks(world, IDLE_AFTER_TICKS);
      assert.deepEqual(bodyOf(world, 0), body);
      tick(world);
      stepBody(body, { ...NEUTRAL, aim: world.aim(0) }, world.map);
      assert.deepEqual(bodyOf(world, 0), body);
      ticks(world, 10);
      assert.deepEqual([world.vx(0), world.vy(0)], [0, 0]);
      tick(world, [{ seat: 0, intent: EAST }]);
      const moving = bodyOf(world, 0);
      tick(world);
      assert.deepEqual(bodyOf(world, 0), moving, 'waits again');
    });
  });

  describe('seats', () => {
    it('events that make no sense are ignored and change nothing but the tick', () => {
      const world = liveWorld(3, { capacity: 4 });
      const nonsense: SeatEvent[] = [
        ...joins(0, 4, 5, 200, 255, -1),
        { kind: 'leave', seat: 3 },
        { kind: 'leave', seat: 4 },
        { kind: 'leave', seat: 255 },
        { kind: 'leave', seat: 0.5 },
      ];
      const other = arena.decode(arena.encode(world));
      tick(world, [], nonsense);
      tick(other);
      assert.deepEqual(world.words, other.words);
      assert.deepEqual(world.names, other.names);
    });

    it('intents of free and unknown seats are ignored', () => {
      const world = liveWorld(2, { capacity: 4 });
      const other = arena.decode(arena.encode(world));
      tick(
        world,
        [2, 3, 4, 255, -1, 1.5].map((seat) => ({ seat, intent: { ...EAST, buttons: 7 } })),
      );
      tick(other);
      assert.deepEqual(world.words, other.words);
    });

    it('a free seat keeps nothing of who sat there', () => {
      const world = liveWorld(2);
      tick(world, [], [{ kind: 'leave', seat: 1 }]);
      const at = world.seatAt(1);
      assert.ok(world.words.subarray(at, world.seatAt(2)).every((word) => word === 0));
      assert.deepEqual([world.name(1), world.playerId(1), world.isUsed(1)], ['', '', false]);
      assert.equal(faultOf(world), undefined);
    });
  });

  describe('spawns', () => {
    it('nobody appears near an enemy while there is room elsewhere', () => {
      for (let seed = 0; seed < 20; seed++) {
        const world = liveWorld(1, { seed, capacity: 4 });
        place(world, 0, 4.5, 26.5);
        tick(world, [], joins(1));
        const metres = Math.hypot(world.x(1) - world.x(0), world.y(1) - world.y(0)) / 64;
        assert.ok(metres > 50, `seed ${seed}: ${metres} m`);
      }
    });

    it('the dice choose among several places, by the seed', () => {
      const places = new Set<string>();
      for (let seed = 0; seed < 20; seed++) {
        const world = liveWorld(1, { seed, capacity: 4 });
        places.add(`${world.x(0)},${world.y(0)}`);
      }
      assert.ok(places.size >= 5, `${places.size} places`);
    });
  });

  describe('pickups', () => {
    /** The first of that kind with no other within 3 m. */
    const firstOf = (world: ArenaWorld, kind: number): number => {
      const { pickups } = world.map;
      return pickups.findIndex(
        (one) =>
          one.kind === kind &&
          pickups.every((other) => other === one || Math.hypot(other.x - one.x, other.y - one.y) > 3 * 64),
      );
    };

    it('gives to whoever reaches it with room to take it, and lies there again after its time', () => {
      const world = liveWorld(2);
      const index = firstOf(world, PICKUP_HEALTH);
      const { x, y } = world.map.pickups[index]!;
      place(world, 0, x / 64, y / 64);
      tick(world);
      assert.equal(world.isTaken(index), false, 'the healthy leave it');
      setSeat(world, 0, SEAT.HP, 20);
      tick(world);
      assert.equal(world.hp(0), 20 + PICKUP_GIVES[PICKUP_HEALTH]);
      assert.ok(world.isTaken(index));
      const away = tickUntil(world, () => !world.isTaken(index));
      assert.equal(away, PICKUP_RESPAWN_TICKS[PICKUP_HEALTH] - 1);
      tick(world);
      assert.equal(world.hp(0), 20 + 2 * PICKUP_GIVES[PICKUP_HEALTH]);
    });

    it('never gives beyond the limit', () => {
      const world = liveWorld(2);
      const { x, y } = world.map.pickups[firstOf(world, PICKUP_AMMO)]!;
      place(world, 0, x / 64, y / 64);
      setSeat(world, 0, SEAT.AMMO, AMMO_MAX - 1);
      tick(world);
      assert.equal(world.ammo(0), AMMO_MAX);
    });

    it('of two in reach the nearer one gets it, whatever the seats', () => {
      for (const nearer of [0, 1]) {
        const world = liveWorld(2);
        const { x, y } = world.map.pickups[firstOf(world, PICKUP_HEALTH)]!;
        place(world, nearer, x / 64 - 0.25, y / 64);
        place(world, 1 - nearer, x / 64 + 0.5, y / 64);
        setSeat(world, 0, SEAT.HP, 20);
        setSeat(world, 1, SEAT.HP, 20);
        tick(world);
        assert.deepEqual([world.hp(nearer), world.hp(1 - nearer)], [55, 20]);
      }
    });
  });
});
