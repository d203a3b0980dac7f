import assert from 'node:assert/strict';
import type { ArenaIntent, ArenaWorld } from '../../src/sim/arena.ts';
import { TILE } from '../../src/sim/map.ts';
import {
  AMMO_START,
  BUTTONS,
  HP_MAX,
  RESPAWN_TICKS,
  RIFLE_COOLDOWN_TICKS,
  RIFLE_DAMAGE,
  ROCKET_COOLDOWN_TICKS,
  ROCKETS_START,
  SPAWN_PROTECTION_TICKS,
  SPLASH_DAMAGE,
} from '../../src/sim/tuning.ts';
import { pastPosition } from '../../src/sim/weapons.ts';
import { faultOf, ROCKET as ROCKET_WORD, SEAT } from '../../src/sim/world.ts';
import { joins, liveWorld, NEUTRAL, place, setSeat, tick, ticks, tickUntil } from './arena-scene.ts';

const FIRE: ArenaIntent = { ...NEUTRAL, buttons: BUTTONS.FIRE };
const ROCKET: ArenaIntent = { ...NEUTRAL, buttons: BUTTONS.ROCKET };
/** The colosseum's free lane along y = 27.5 m, from x = 2 to 35 m. */
const LANE = 27.5;

/** Seat 0 at the west end of the lane, seat 1 that many metres east of it, others out of the way. */
function duel(metres: number, seats = 2): ArenaWorld {
  const world = liveWorld(seats);
  place(world, 0, 4.5, LANE);
  place(world, 1, 4.5 + metres, LANE);
  for (let seat = 2; seat < seats; seat++) place(world, seat, 40, 4.5 + seat);
  return world;
}

/** Moves seat 1 a metre south each tick for `count` ticks, from the lane, leaving a past behind. */
function march(world: ArenaWorld, count: number): void {
  for (let i = 0; i < count; i++) {
    setSeat(world, 1, SEAT.Y, world.y(1) + 64);
    tick(world);
  }
}

describe('sim/weapons', () => {
  describe('rifle', () => {
    it('hits whoever stands in the line, for its damage, and tells where', () => {
      const world = duel(10);
      tick(world, [{ seat: 0, intent: FIRE }]);
      assert.equal(world.hp(1), HP_MAX - RIFLE_DAMAGE);
      assert.equal(world.ammo(0), AMMO_START - 1);
      assert.equal(world.shots(0), 1);
      const shot = world.events.shots[0]!;
      assert.deepEqual([shot.seat, shot.victim, shot.x, shot.y], [0, 1, 4.5 * 64, LANE * 64]);
      assert.ok(Math.abs(shot.toX - 14.5 * 64) < 8 && Math.abs(shot.toY - LANE * 64) < 8);
    });

    it('fires by the match tick: catching up with four intents fires no faster', () => {
      const world = duel(10);
      setSeat(world, 1, SEAT.HP, 1000);
      const burst = [0, 0, 0, 0].map((seat) => ({ seat, intent: FIRE }));
      for (let i = 0; i < 2 * RIFLE_COOLDOWN_TICKS; i++) tick(world, burst);
      assert.equal(world.shots(0), 2);
    });

    it('misses beside, behind and behind a wall', () => {
      const beside = duel(10);
      tick(beside, [{ seat: 0, intent: { ...FIRE, aim: 8 } }]);
      const behind = duel(10);
      tick(behind, [{ seat: 0, intent: { ...FIRE, aim: 128 } }]);
      const walled = duel(10);
      place(walled, 0, 13.5, 25.5);
      place(walled, 1, 18.5, 25.5);
      tick(walled, [{ seat: 0, intent: FIRE }]);
      for (const world of [beside, behind, walled]) {
        assert.equal(world.hp(1), HP_MAX);
        assert.equal(world.events.shots[0]!.victim, -1);
      }
      assert.ok(walled.events.shots[0]!.toX <= 15 * 64);
    });

    it('reaches exactly 16 m', () => {
      for (const [metres, hp] of [
        [15.9, HP_MAX - RIFLE_DAMAGE],
        [16.1, HP_MAX],
      ] as const) {
        const world = liveWorld(2, { map: 'generated', width: 60, height: 16 });
        world.map.tiles.fill(TILE.FLOOR, 60, 15 * 60);
        place(world, 0, 4.5, 8);
        place(world, 1, 4.5 + metres, 8);
        tick(world, [{ seat: 0, intent: FIRE }]);
        assert.equal(world.hp(1), hp, `${metres} m`);
      }
    });

    it('hits only the nearest of two in the line', () => {
      const world = duel(10, 3);
      place(world, 2, 9.5, LANE);
      tick(world, [{ seat: 0, intent: FIRE }]);
      assert.deepEqual([world.hp(1), world.hp(2)], [HP_MAX, HP_MAX - RIFLE_DAMAGE]);
    });

    it('hits an enemy in whose body the shooter stands, whatever the direction', () => {
      for (const aim of [0, 64, 128, 200]) {
        const world = duel(0.1);
        tick(world, [{ seat: 0, intent: { ...FIRE, aim } }]);
        assert.equal(world.hp(1), HP_MAX - RIFLE_DAMAGE, `aim ${aim}`);
      }
    });

    it('is silent without ammunition', () => {
      const world = duel(10);
      setSeat(world, 0, SEAT.AMMO, 0);
      tick(world, [{ seat: 0, intent: FIRE }]);
      assert.deepEqual([world.shots(0), world.ammo(0), world.hp(1)], [0, 0, HP_MAX]);
    });

    it('two who shoot each other dead in the same tick both die and both score, whatever their seats', () => {
      const world = duel(10);
      setSeat(world, 0, SEAT.HP, 1);
      setSeat(world, 1, SEAT.HP, 1);
      tick(world, [
        { seat: 0, intent: FIRE },
        { seat: 1, intent: { ...FIRE, aim: 128 } },
      ]);
      for (const seat of [0, 1]) {
        assert.deepEqual([world.isAlive(seat), world.frags(seat), world.deaths(seat)], [false, 1, 1]);
      }
      assert.equal(world.events.kills.length, 2);
    });
  });

  describe('lag compensation', () => {
    it('judges a shot by where the shooter saw the target, to the eighth of a tick', () => {
      const world = duel(10);
      march(world, 6);
      const seen = { x: 0, y: 0 };
      const table = [
        [0, LANE + 6],
        [8, LANE + 5],
        [12, LANE + 4.5],
        [20, LANE + 3.5],
        [21, LANE + 3.375],
        [48, LANE],
        [120, LANE],
      ] as const;
      for (const [rewind, y] of table) {
        assert.ok(pastPosition(world, 1, rewind, seen));
        assert.deepEqual(seen, { x: 14.5 * 64, y: y * 64 }, `rewind ${rewind}`);
      }
    });

    it('hits where the target was seen and misses where it only is', () => {
      const hit = duel(10);
      march(hit, 6);
      tick(hit, [{ seat: 0, intent: { ...FIRE, rewind: 48 } }]);
      assert.equal(hit.hp(1), HP_MAX - RIFLE_DAMAGE);
      const miss = duel(10);
      march(miss, 6);
      tick(miss, [{ seat: 0, intent: { ...FIRE, rewind: 0 } }]);
      assert.equal(miss.hp(1), HP_MAX);
    });

    it('clamps a rewind beyond 500 ms to 500 ms', () => {
      for (const rewind of [121, 255, 1e9]) {
        const world = duel(10);
        march(world, 1);
        ticks(world, 14);
        tick(world, [{ seat: 0, intent: { ...FIRE, rewind } }]);
        assert.equal(world.hp(1), HP_MAX - RIFLE_DAMAGE, 'exactly 15 ticks back it still stood in the lane');
        const later = duel(10);
        march(later, 1);
        ticks(later, 15);
        tick(later, [{ seat: 0, intent: { ...FIRE, rewind } }]);
        assert.equal(later.hp(1), HP_MAX, 'not 16');
      }
    });

    it('never hits at a position of an earlier life, of an earlier occupant or before a join', () => {
      const respawned = duel(10);
      setSeat(respawned, 1, SEAT.HP, 1);
      tick(respawned, [{ seat: 0, intent: FIRE }]);
      assert.ok(!respawned.isAlive(1));
      ticks(respawned, RESPAWN_TICKS);
      assert.ok(respawned.isAlive(1));
      const rejoined = duel(10);
      tick(rejoined, [], [{ kind: 'leave', seat: 1 }, ...joins(1)]);
      for (const world of [respawned, rejoined]) {
        const born = world.bornTick(1);
        assert.equal(born, world.tick - 1);
        const seen = { x: 0, y: 0 };
        assert.ok(pastPosition(world, 1, 0, seen));
        assert.deepEqual(seen, { x: world.x(1), y: world.y(1) });
        assert.ok(pastPosition(world, 1, 7, seen), 'between the first position and none is the first');
        assert.deepEqual(seen, { x: world.x(1), y: world.y(1) });
        for (let rewind = 8; rewind <= 120; rewind++) assert.ok(!pastPosition(world, 1, rewind, seen));
        setSeat(world, 1, SEAT.PROTECTED_UNTIL, 0);
        tick(world, [{ seat: 0, intent: { ...FIRE, rewind: 60 } }]);
        assert.equal(world.hp(1), HP_MAX);
      }
    });

    it('does not hit the dead', () => {
      const world = duel(10);
      setSeat(world, 1, SEAT.HP, 1);
      tick(world, [{ seat: 0, intent: FIRE }]);
      ticks(world, RIFLE_COOLDOWN_TICKS);
      tick(world, [{ seat: 0, intent: { ...FIRE, rewind: 64 } }]);
      assert.equal(world.events.shots[0]!.victim, -1);
      assert.equal(world.frags(0), 1);
    });
  });

  describe('rocket', () => {
    it('flies at 22 m/s, bursts on the body it meets and gives it the full damage and a push', () => {
      const world = duel(10);
      tick(world, [{ seat: 0, intent: ROCKET }]);
      assert.equal(world.rockets(0), ROCKETS_START - 1);
      const slot = 0;
      assert.ok(world.rocketId(slot) > 0);
      assert.deepEqual([world.rocketSeat(slot), world.rocketVx(slot), world.rocketVy(slot)], [0, 752, 0]);
      assert.equal(world.rocketX(slot), 4.5 * 64 + 47);
      const flight = 1 + tickUntil(world, () => world.rocketId(slot) === 0);
      assert.equal(flight, 14, '10 m less the two rims, 47 units a tick');
      assert.equal(world.hp(1), HP_MAX - SPLASH_DAMAGE);
      assert.ok(world.vx(1) > 500);
      assert.equal(world.events.explosions.length, 1);
    });

    it('never flies through a thin wall or past its own time', () => {
      const world = duel(10);
      place(world, 0, 13.5, 25.5);
      place(world, 1, 18.5, 25.5);
      tick(world, [{ seat: 0, intent: ROCKET }]);
      ticks(world, 3);
      assert.equal(world.rocketId(0), 0);
      assert.equal(world.hp(1), HP_MAX, 'the wall keeps the blast off');
      assert.ok(world.hp(0) < HP_MAX, 'the shooter is close and takes half');
    });

    it('cools down by the match tick and is refused without rockets', () => {
      const world = duel(10);
      for (let i = 0; i < ROCKET_COOLDOWN_TICKS; i++) {
        tick(world, [
          { seat: 0, intent: { ...ROCKET, aim: 64 } },
          { seat: 0, intent: { ...ROCKET, aim: 64 } },
        ]);
      }
      assert.equal(world.rockets(0), ROCKETS_START - 1);
      setSeat(world, 0, SEAT.ROCKETS, 0);
      tick(world, [{ seat: 0, intent: ROCKET }]);
      assert.equal(world.rockets(0), 0);
    });

    it('a sky full of rockets refuses one more and takes nothing for it', () => {
      const world = duel(10);
      for (let slot = 0; slot < world.rocketSlots; slot++) {
        const at = world.rocketAt(slot);
        world.words[at + ROCKET_WORD.ID] = slot + 1;
        world.words[at + ROCKET_WORD.X] = world.words[at + ROCKET_WORD.Y] = 40 * 1024;
        world.words[at + ROCKET_WORD.VX] = 752;
        world.words[at + ROCKET_WORD.EXPIRES] = world.tick + 50;
      }
      const last = world.rocketSlots - 1;
      tick(world, [{ seat: 0, intent: ROCKET }]);
      assert.deepEqual([world.rockets(0), world.rocketId(0), world.rocketId(last)], [ROCKETS_START, 1, last + 1]);
      assert.ok(faultOf(world) === undefined);
    });

    it('a blast falls off with distance and spares the shielded', () => {
      const world = duel(10, 4);
      place(world, 2, 14.5, LANE - 1.5);
      place(world, 3, 14.5, LANE + 1.5);
      setSeat(world, 3, SEAT.PROTECTED_UNTIL, world.tick + 100);
      tick(world, [{ seat: 0, intent: ROCKET }]);
      ticks(world, 20);
      assert.equal(world.hp(1), HP_MAX - SPLASH_DAMAGE);
      assert.ok(world.hp(2) < HP_MAX && world.hp(2) > world.hp(1));
      assert.deepEqual([world.hp(3), world.vx(3), world.vy(3)], [HP_MAX, 0, 0]);
    });

    it('a suicide costs a life and no frag, and scores never shrink', () => {
      const world = duel(10);
      setSeat(world, 0, SEAT.HP, 1);
      place(world, 0, 2.5, LANE);
      tick(world, [{ seat: 0, intent: { ...ROCKET, aim: 128 } }]);
      tickUntil(world, () => !world.isAlive(0));
      assert.deepEqual(world.events.kills, [{ killer: 0, victim: 0, weapon: 'rocket', assist: -1 }]);
      assert.deepEqual([world.frags(0), world.deaths(0)], [0, 1]);
    });

    it('vanishes when its owner leaves, and nobody inherits it', () => {
      const world = duel(10);
      tick(world, [{ seat: 0, intent: ROCKET }]);
      tick(world, [], [{ kind: 'leave', seat: 0 }, ...joins(0)]);
      assert.equal(world.rocketId(0), 0);
      ticks(world, 20);
      assert.equal(world.hp(1), HP_MAX);
    });
  });

  describe('deaths', () => {
    it('the kill goes to the last hit and the assist to the latest other attacker of the last 5 s', () => {
      const world = duel(10, 4);
      setSeat(world, 1, SEAT.HP, 2 * RIFLE_DAMAGE + 1);
      place(world, 2, 14.5, LANE + 3);
      tick(world, [{ seat: 2, intent: { ...FIRE, aim: 192 } }]);
      ticks(world, 10);
      tick(world, [{ seat: 0, intent: FIRE }]);
      ticks(world, 10);
      tick(world, [{ seat: 0, intent: FIRE }]);
      assert.deepEqual(world.events.kills, [{ killer: 0, victim: 1, weapon: 'rifle', assist: 2 }]);
      assert.deepEqual([world.frags(0), world.assists(2), world.assists(0), world.deaths(1)], [1, 1, 0, 1]);
    });

    it('damage older than 5 s, or by somebody who left, earns no assist', () => {
      for (const isLeaving of [false, true]) {
        const world = duel(10, 3);
        setSeat(world, 1, SEAT.HP, RIFLE_DAMAGE + 1);
        place(world, 2, 14.5, LANE + 3);
        tick(world, [{ seat: 2, intent: { ...FIRE, aim: 192 } }]);
        if (isLeaving) tick(world, [], [{ kind: 'leave', seat: 2 }, ...joins(2)]);
        else ticks(world, 150);
        tick(world, [{ seat: 0, intent: FIRE }]);
        assert.equal(world.events.kills[0]!.assist, -1);
        assert.equal(world.assists(2), 0);
      }
    });

    it('the dead do not move or shoot and are back, whole and shielded, after a second and a half', () => {
      const world = duel(10);
      setSeat(world, 1, SEAT.HP, 1);
      tick(world, [{ seat: 0, intent: FIRE }]);
      const { x } = { x: world.x(1) };
      for (let i = 0; i < RESPAWN_TICKS - 1; i++) {
        tick(world, [{ seat: 1, intent: { ...FIRE, moveX: 127 } }]);
        assert.deepEqual([world.isAlive(1), world.x(1), world.shots(1)], [false, x, 0]);
      }
      tick(world);
      assert.deepEqual([world.isAlive(1), world.hp(1), world.ammo(1)], [true, HP_MAX, AMMO_START]);
      assert.equal(world.protectedTicks(1), SPAWN_PROTECTION_TICKS - 1);
    });

    it('spawn protection keeps damage off and ends with the first shot', () => {
      const world = duel(10);
      setSeat(world, 1, SEAT.PROTECTED_UNTIL, world.tick + 50);
      tick(world, [{ seat: 0, intent: FIRE }]);
      assert.equal(world.hp(1), HP_MAX);
      ticks(world, RIFLE_COOLDOWN_TICKS);
      tick(world, [{ seat: 1, intent: { ...FIRE, aim: 64 } }]);
      assert.equal(world.protectedTicks(1), 0);
      tick(world, [{ seat: 0, intent: FIRE }]);
      assert.equal(world.hp(1), HP_MAX - RIFLE_DAMAGE);
    });
  });
});
