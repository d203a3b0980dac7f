import assert from 'node:assert/strict';
import { type ArenaWorld, arena, think } from '../../src/sim/arena.ts';
import { PHASE_ENDED } from '../../src/sim/tuning.ts';
import { HEAD, SEAT } from '../../src/sim/world.ts';
import { liveWorld, NEUTRAL, place, setSeat, tick } from './arena-scene.ts';

function botMatch(seats: number, count: number, setup: Readonly<Record<string, number | string>> = {}): ArenaWorld {
  const world = liveWorld(seats, setup);
  for (let i = 0; i < count; i++) {
    tick(
      world,
      Array.from({ length: seats }, (_, seat) => ({ seat, intent: think(world, seat) })),
    );
  }
  return world;
}

describe('sim/bots', () => {
  it('thinking changes nothing in the world and gives the same twice', () => {
    const world = botMatch(6, 100);
    const words = world.words.slice();
    for (let seat = 0; seat < 6; seat++) assert.deepEqual(think(world, seat), think(world, seat));
    assert.deepEqual(world.words, words);
  });

  it('what a bot does depends on the world alone, not on what was thought before', () => {
    const world = botMatch(6, 100, { map: 'generated', width: 120, height: 90 });
    const fresh = arena.decode(arena.encode(world));
    for (let seat = 5; seat >= 0; seat--) assert.deepEqual(think(fresh, seat), think(world, seat));
  });

  it('bots press only what the wire can carry', () => {
    const world = liveWorld(8);
    for (let i = 0; i < 600; i++) {
      const intents = Array.from({ length: 8 }, (_, seat) => ({ seat, intent: think(world, seat) }));
      for (const { intent } of intents) {
        for (const axis of [intent.moveX, intent.moveY]) assert.ok(Number.isInteger(axis) && Math.abs(axis) <= 127);
        assert.ok(Number.isInteger(intent.aim) && intent.aim >= 0 && intent.aim <= 255);
        assert.ok(intent.buttons >= 0 && intent.buttons <= 7);
      }
      tick(world, intents);
    }
  });

  it('the dead, the absent and the ended think nothing', () => {
    const world = liveWorld(2, { capacity: 4 });
    assert.deepEqual(think(world, 3), NEUTRAL);
    setSeat(world, 0, SEAT.IS_ALIVE, 0);
    assert.deepEqual(think(world, 0), NEUTRAL);
    world.words[HEAD.PHASE] = PHASE_ENDED;
    assert.deepEqual(think(world, 1), NEUTRAL);
  });

  it('a match of bots is lively, and no bot is left without a frag or a death', () => {
    const setups: Record<string, number | string>[] = [
      { seed: 1 },
      { seed: 2 },
      { seed: 3, map: 'generated', width: 60, height: 60 },
    ];
    for (const setup of setups) {
      const world = botMatch(8, 120 * 30, setup);
      const rows = arena.standings(world).map((row) => row.score);
      const frags = rows.reduce((sum, score) => sum + score['frags']!, 0);
      assert.ok(frags >= 24, `${frags} frags of eight bots in two minutes`);
      assert.ok(rows.every((score) => score['frags']! + score['deaths']! > 0));
    }
  });

  it('a bot finds its way around walls to an enemy at the other end of the map', () => {
    const world = liveWorld(2);
    place(world, 0, 4.5, 26.5);
    place(world, 1, 36.5, 30.5);
    const metres = () => Math.hypot(world.x(0) - world.x(1), world.y(0) - world.y(1)) / 64;
    assert.ok(metres() > 30);
    let nearest = metres();
    for (let i = 0; i < 300 && nearest > 14; i++) {
      setSeat(world, 1, SEAT.PROTECTED_UNTIL, world.tick + 2);
      tick(world, [{ seat: 0, intent: think(world, 0) }]);
      nearest = Math.min(nearest, metres());
    }
    assert.ok(nearest <= 14, `came no nearer than ${nearest} m`);
  });

  it('a hurt bot without an enemy in sight fetches health', () => {
    const world = liveWorld(2);
    place(world, 0, 20.5, 30.5);
    setSeat(world, 0, SEAT.HP, 20);
    tick(world, [], [{ kind: 'leave', seat: 1 }]);
    for (let i = 0; i < 300 && world.hp(0) === 20; i++) tick(world, [{ seat: 0, intent: think(world, 0) }]);
    assert.ok(world.hp(0) > 20);
  });

  it('somebody who only stands and shoots straight can win against a bot', () => {
    // A beginner with a steady hand: aims at where the bot is and holds the trigger.
    let frags = 0;
    let deaths = 0;
    for (let seed = 0; seed < 4; seed++) {
      const world = liveWorld(2, { seed });
      for (let i = 0; i < 60 * 30; i++) {
        const toX = world.x(1) - world.x(0);
        const toY = world.y(1) - world.y(0);
        const aim = Math.round((Math.atan2(toY, toX) / (2 * Math.PI)) * 256) & 255;
        tick(world, [
          { seat: 0, intent: { ...NEUTRAL, aim, buttons: 1 } },
          { seat: 1, intent: think(world, 1) },
        ]);
        setSeat(world, 0, SEAT.AMMO, 50);
      }
      frags += world.frags(0);
      deaths += world.deaths(0);
    }
    assert.ok(frags > deaths, `${frags} frags, ${deaths} deaths`);
    assert.ok(deaths > 0, 'and yet the bot is dangerous');
  });
});
