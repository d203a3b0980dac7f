/** The arena: top-down deathmatch. Rules are in src/sim, what players see in schema; this joins the two. */

import { ArenaInput } from '../schema/arena-input.ts';
import { ArenaState, PHASES } from '../schema/arena-state.ts';
import type { MatchSetup } from '../src/kernel/simulation.ts';
import type { InterestOptions } from '../src/match/interest-plugin.ts';
import { type ArenaIntent, type ArenaWorld, arena, think } from '../src/sim/arena.ts';
import { PHASE_ENDED, PHASE_WARM_UP, REWIND_PER_TICK, RIFLE_RANGE_UNITS, UNITS_PER_METRE } from '../src/sim/tuning.ts';
import { ArenaProjection, fillArena } from './arena-projection.ts';
import { type FrameBinding, GameRoom, type Player } from './game-room.ts';

/** Sides of the largest map an arena room plays on, m. */
const MAP_METRES = { width: 80, height: 60 };

export class ArenaRoom extends GameRoom<{ state: ArenaState; input: ArenaInput }, ArenaWorld, ArenaIntent> {
  protected override readonly sim = arena;
  protected override readonly stateType = ArenaState;
  protected override readonly rewindPartsPerTick = REWIND_PER_TICK;
  protected override readonly frames: FrameBinding<ArenaInput, ArenaIntent> = {
    type: ArenaInput,
    sanitize: { moveX: [-127, 127], moveY: [-127, 127], aim: [0, 255], buttons: [0, 7] },
    toIntent: ({ moveX, moveY, aim, buttons }, rewind) => ({ moveX, moveY, aim, buttons, rewind }),
  };
  #projection!: ArenaProjection;

  protected override interestOptions(): InterestOptions {
    return {
      cellSize: 4 * UNITS_PER_METRE,
      mapWidth: MAP_METRES.width * UNITS_PER_METRE,
      mapHeight: MAP_METRES.height * UNITS_PER_METRE,
      // As far as a rifle reaches, and as a screen shows to either side: what nobody sees, nobody needs. The grid adds
      // up to a cell.
      rings: [
        { radius: 6 * UNITS_PER_METRE, everyPatches: 1 },
        { radius: RIFLE_RANGE_UNITS, everyPatches: 2 },
      ],
      budgetBytesPerSecond: 10 * 1024,
      betweenFrames: () => this.plugins.tick.poll(),
    };
  }

  protected override setupMatch(seed: number): MatchSetup {
    const { maxPlayers, matchMinutes, tickRateHz } = this.services.settings;
    return { seed, map: 'colosseum', capacity: maxPlayers, liveTicks: matchMinutes * 60 * tickRateHz };
  }

  protected override fillState(state: ArenaState, world: ArenaWorld): void {
    state.matchId = this.matchId;
    state.simVersion = arena.version;
    state.tickRateHz = this.services.settings.tickRateHz;
    fillArena(state, world);
  }

  protected override bindState(state: ArenaState, world: ArenaWorld): void {
    this.#projection = new ArenaProjection(state, world, this.plugins.interest, {
      isConnected: (seat) => this.isConnected(seat),
      rttMs: (seat) => this.rttMsOf(seat),
      sessionId: (seat) => this.sessionIdOf(seat),
      client: (seat) => this.clientOf(seat),
    });
  }

  protected override project(_world: ArenaWorld, tick: number): void {
    this.#projection.update(tick);
  }

  protected override onSeated(client: Player, seat: number): void {
    this.#projection.follow(client, seat);
  }

  protected override phaseOf(world: ArenaWorld): string {
    return PHASES[world.phase]!;
  }

  protected override isClosed(world: ArenaWorld): boolean {
    return world.phase === PHASE_ENDED;
  }

  protected override isDecided(world: ArenaWorld): boolean {
    return world.phase === PHASE_ENDED;
  }

  protected override isUnderWay(world: ArenaWorld): boolean {
    return world.phase !== PHASE_WARM_UP;
  }

  protected override think(world: ArenaWorld, seat: number): ArenaIntent {
    return think(world, seat);
  }
}
