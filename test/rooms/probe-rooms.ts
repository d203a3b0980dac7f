/** Arena rooms with a window into them, for tests. */
import type { Messages, Room } from '@colyseus/core';
import * as z from 'zod';
import { ArenaRoom } from '../../rooms/arena-room.ts';
import type { RoomServices } from '../../rooms/game-room.ts';
import { GameError } from '../../src/kernel/errors.ts';
import type { MatchSetup } from '../../src/kernel/simulation.ts';
import type { InterestOptions } from '../../src/match/interest-plugin.ts';
import type { ArenaWorld } from '../../src/sim/arena.ts';

export class ProbeArena extends ArenaRoom {
  /** Set by a test: thrown in the next step, or in the handler of `boom`. */
  bugInStep: Error | undefined;

  protected override commands(): Messages<Room> {
    return {
      /** An ordinary handler of the framework. */
      boom: () => {
        throw new TypeError('a bug in a handler');
      },
      'boom-command': this.command(z.strictObject({}), () => {
        throw new TypeError('a bug in a command');
      }),
      refuse: this.command(z.strictObject({}), () => {
        throw new GameError('MATCH_FULL', { seats: 2 });
      }),
      double: this.command(z.strictObject({ n: z.int().max(1000) }), (_client, { n }) => ({ n: 2 * n })),
    };
  }

  get match(): { readonly id: string; readonly world: ArenaWorld; readonly services: RoomServices } {
    return { id: this.matchId, world: this.world, services: this.services };
  }

  protected override project(world: ArenaWorld, tick: number): void {
    const bug = this.bugInStep;
    this.bugInStep = undefined;
    if (bug !== undefined) throw bug;
    super.project(world, tick);
  }
}

/** Over within a second: nobody warms up. */
export class ShortArena extends ProbeArena {
  protected override setupMatch(seed: number): MatchSetup {
    return { ...super.setupMatch(seed), warmupTicks: 1, liveTicks: 15, endedTicks: 30 };
  }
}

/** Drops slow readers early. */
export class NarrowArena extends ProbeArena {
  protected override interestOptions(): InterestOptions {
    return { ...super.interestOptions(), softBytes: 4 * 1024, hardBytes: 64 * 1024 };
  }
}
