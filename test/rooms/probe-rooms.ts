/** Arena rooms with a window into them, for tests. */
import type { Messages, Room } from '@colyseus/core';
import * as z from 'zod';
import { ArenaRoom } from '../../rooms/arena-room.ts';
import type { RoomServices, RoomSettings } from '../../rooms/game-room.ts';
import type { CreationOptions } from '../../src/cluster/match-ids.ts';
import { GameError } from '../../src/kernel/errors.ts';
import type { Entry, MatchSetup } from '../../src/kernel/simulation.ts';
import type { InterestOptions } from '../../src/match/interest-plugin.ts';
import { type ArenaIntent, type ArenaWorld, arena } from '../../src/sim/arena.ts';
import { UNITS_PER_METRE } from '../../src/sim/tuning.ts';

export class ProbeArena extends ArenaRoom {
  /** Every entry that was stepped. */
  readonly entries: Entry<ArenaIntent>[] = [];
  /** Set by a test: thrown in the middle of the next step. */
  bugInStep: Error | undefined;
  protected override readonly sim: typeof arena = {
    ...arena,
    step: (world, entry) => {
      arena.step(world, entry);
      if (this.bugInStep !== undefined) throw this.bugInStep;
      this.entries.push(entry);
    },
  };

  override onCreate({ services, ...creation }: { services: RoomServices } & CreationOptions): Promise<void> {
    const settings = { ...services.settings, ...this.settings() };
    return super.onCreate({ ...creation, services: { ...services, settings } });
  }

  protected settings(): Partial<RoomSettings> {
    return {};
  }

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

  /** Says something to one seat, or to everybody. */
  say(type: string, payload: unknown, seat?: number): void {
    if (seat === undefined) this.announce(type, payload);
    else this.tell(seat, type, payload);
  }

  /** Intents of one seat, oldest first. */
  intentsOf(seat: number): ArenaIntent[] {
    return this.entries.flatMap(({ intents }) => intents.filter((one) => one.seat === seat).map((one) => one.intent));
  }
}

/** Two bots at least in company, four seats. */
export class BotArena extends ProbeArena {
  protected override settings(): Partial<RoomSettings> {
    return { botsFillTo: 3, maxPlayers: 4 };
  }
}

/** Over within seconds: nobody warms up. */
export class ShortArena extends ProbeArena {
  protected override setupMatch(seed: number): MatchSetup {
    return { ...super.setupMatch(seed), warmupTicks: 1, liveTicks: 15, endedTicks: 30 };
  }
}

/** Everybody sees everybody. */
export class WideArena extends ProbeArena {
  protected override interestOptions(): InterestOptions {
    return { ...super.interestOptions(), rings: [{ radius: 120 * UNITS_PER_METRE, everyPatches: 1 }] };
  }
}

/** Drops slow readers early. */
export class NarrowArena extends ProbeArena {
  protected override interestOptions(): InterestOptions {
    return { ...super.interestOptions(), softBytes: 4 * 1024, hardBytes: 64 * 1024 };
  }
}

/** Live at once, with bots. */
export class LiveArena extends ProbeArena {
  protected override settings() {
    return { botsFillTo: 4, maxPlayers: 6 };
  }

  protected override setupMatch(seed: number): MatchSetup {
    return { ...super.setupMatch(seed), warmupTicks: 1 };
  }
}
