/** Shows a simulated world: what the room would have sent is read from the world itself. */
import type { ArenaWorld } from '../../../src/sim/arena.ts';
import { PICKUP_KINDS, UNITS_PER_METRE } from '../../../src/sim/tuning.ts';
import { radiansOf } from '../controls/controls.ts';
import type { FighterView, RocketView, Scene } from '../draw/scene.ts';
import type { ScoreLine } from '../hud/scoreboard.ts';
import { compareScores } from '../hud/scoreboard.ts';

/** A step longer than this is a respawn, not a walk, and is not interpolated. Metres. */
const JUMP_M = 4;

interface Before {
  x: number;
  y: number;
}

/** Draws between two ticks: the world is stepped in whole ticks, the screen is not. */
export class WorldScene {
  readonly scene: Scene = { fighters: [], rockets: [], pickups: [] };
  readonly #before = new Map<number, Before>();
  readonly #rocketsBefore = new Map<number, Before>();
  readonly #fighters = new Map<number, FighterView>();

  /** Notes where everything is; call before each step. */
  note(world: ArenaWorld): void {
    this.#before.clear();
    this.#rocketsBefore.clear();
    for (let seat = 0; seat < world.capacity; seat++) {
      if (!world.isUsed(seat) || !world.isAlive(seat)) continue;
      this.#before.set(seat, { x: world.x(seat) / UNITS_PER_METRE, y: world.y(seat) / UNITS_PER_METRE });
    }
    for (let slot = 0; slot < world.rocketSlots; slot++) {
      const id = world.rocketId(slot);
      if (id === 0) continue;
      this.#rocketsBefore.set(id, {
        x: world.rocketX(slot) / UNITS_PER_METRE,
        y: world.rocketY(slot) / UNITS_PER_METRE,
      });
    }
  }

  /**
   * Lays the scene `part` (0 to 1) of the way from the noted places to the present ones.
   * @param followed seat drawn as "you", or -1
   */
  lay(world: ArenaWorld, part: number, followed: number): Scene {
    const { fighters, rockets, pickups } = this.scene;
    fighters.length = 0;
    for (let seat = 0; seat < world.capacity; seat++) {
      if (world.isUsed(seat)) fighters.push(this.#fighter(world, seat, part, followed));
      else this.#fighters.delete(seat);
    }
    rockets.length = 0;
    for (let slot = 0; slot < world.rocketSlots; slot++) {
      if (world.rocketId(slot) !== 0) rockets.push(this.#rocket(world, slot, part));
    }
    world.map.pickups.forEach(({ kind, x, y }, index) => {
      const view = pickups[index] ?? {
        kind: PICKUP_KINDS[kind] ?? 'health',
        x: x / UNITS_PER_METRE,
        y: y / UNITS_PER_METRE,
        isTaken: false,
      };
      pickups[index] = view;
      view.isTaken = world.isTaken(index);
    });
    return this.scene;
  }

  #fighter(world: ArenaWorld, seat: number, part: number, followed: number): FighterView {
    const x = world.x(seat) / UNITS_PER_METRE;
    const y = world.y(seat) / UNITS_PER_METRE;
    const before = this.#before.get(seat);
    const isWalk = before !== undefined && Math.abs(before.x - x) + Math.abs(before.y - y) < JUMP_M;
    let view = this.#fighters.get(seat);
    if (view === undefined) {
      view = {
        seat,
        name: '',
        isBot: false,
        isOwn: false,
        isAlive: false,
        isProtected: false,
        isDashing: false,
        isConnected: true,
        hp: 0,
        x,
        y,
        aim: 0,
      };
      this.#fighters.set(seat, view);
    }
    view.name = world.name(seat);
    view.isBot = world.isBot(seat);
    view.isOwn = seat === followed;
    view.isAlive = world.isAlive(seat);
    view.isProtected = world.protectedTicks(seat) > 0;
    view.isDashing = world.isDashing(seat);
    view.hp = world.hp(seat);
    view.x = isWalk ? before.x + (x - before.x) * part : x;
    view.y = isWalk ? before.y + (y - before.y) * part : y;
    view.aim = radiansOf(world.aim(seat));
    return view;
  }

  #rocket(world: ArenaWorld, slot: number, part: number): RocketView {
    const x = world.rocketX(slot) / UNITS_PER_METRE;
    const y = world.rocketY(slot) / UNITS_PER_METRE;
    const before = this.#rocketsBefore.get(world.rocketId(slot)) ?? { x, y };
    return {
      x: before.x + (x - before.x) * part,
      y: before.y + (y - before.y) * part,
      angle: Math.atan2(world.rocketVy(slot), world.rocketVx(slot)),
      seat: world.rocketSeat(slot),
    };
  }
}

/** The scoreboard of a world, best first. */
export function scoreLinesOf(world: ArenaWorld, followed: number): ScoreLine[] {
  const rows: { seat: number; frags: number; deaths: number; assists: number }[] = [];
  for (let seat = 0; seat < world.capacity; seat++) {
    if (!world.isUsed(seat)) continue;
    rows.push({ seat, frags: world.frags(seat), deaths: world.deaths(seat), assists: world.assists(seat) });
  }
  return rows.sort(compareScores).map(({ seat, frags, deaths, assists }) => ({
    name: world.name(seat),
    isBot: world.isBot(seat),
    isOwn: seat === followed,
    isAway: false,
    frags,
    deaths,
    assists,
    pingMs: undefined,
  }));
}
