/** Who played a match, for how long, and who gave it up: a fold of the seat events beside the simulation. */
import type { EntryHead } from '../kernel/entry-codec.ts';
import type { Participant } from '../kernel/match-header.ts';
import type { Standing } from '../kernel/simulation.ts';

/** People remembered who left. Above: who was seated for the shortest time is forgotten. */
const LEFT_MAX = 3_800;

export interface Stint {
  readonly playerId: string;
  readonly isBot: boolean;
  readonly joinedTick: number;
}

/** What a person who is not seated now has behind it. */
export interface Former {
  readonly seat: number;
  readonly team: number | undefined;
  readonly score: Readonly<Record<string, number>>;
  readonly ticks: number;
  readonly leftTick: number;
}

/** The roster as JSON has it. */
export interface SavedRoster {
  readonly seated: readonly (readonly [seat: number, stint: Stint])[];
  readonly former: readonly (readonly [playerId: string, former: Former])[];
}

export class Roster {
  readonly #seated = new Map<number, Stint>();
  readonly #former = new Map<string, Former>();

  /**
   * Notes who comes and goes; call before the entry is stepped, as the world forgets who leaves.
   * @param standings those of the world before the entry; asked only if a person leaves
   */
  note({ tick, events }: EntryHead, standings: () => readonly Standing[]): void {
    let rows: readonly Standing[] | undefined;
    for (const event of events) {
      const stint = this.#seated.get(event.seat);
      if (stint !== undefined) {
        this.#seated.delete(event.seat);
        if (!stint.isBot) {
          rows ??= standings();
          this.#leave(stint, event.seat, tick, rows);
        }
      }
      if (event.kind === 'leave') continue;
      const { playerId, isBot } = event;
      this.#seated.set(event.seat, { playerId, isBot, joinedTick: tick });
    }
  }

  /**
   * Everybody, best first: those seated as the standings rank them, then everybody who left, all on one rank. A player
   * once, whatever seats it held; bots that left not at all.
   * @param tick of the next entry, at which the standings were taken
   */
  participants(tick: number, standings: readonly Standing[]): Participant[] {
    const ranked = standings
      .map((row, at) => ({ row, rank: row.rank ?? at + 1 }))
      .filter(({ row }) => this.#seated.has(row.seat))
      .sort((a, b) => a.rank - b.rank);
    const participants: Participant[] = [];
    let rank = 1;
    ranked.forEach(({ row, rank: told }, at) => {
      if (at > 0 && ranked[at - 1]!.rank !== told) rank = at + 1;
      participants.push(this.#stayed(row.seat, tick, rank, row));
    });
    const listed = new Set(ranked.map(({ row }) => row.seat));
    for (const seat of this.#seated.keys()) {
      if (!listed.has(seat)) participants.push(this.#stayed(seat, tick, ranked.length + 1));
    }
    const present = new Set(participants.map(({ playerId }) => playerId));
    const lastRank = participants.length + 1;
    const left = [...this.#former]
      .filter(([playerId]) => !present.has(playerId))
      .sort(([a, { ticks: ticksOfA }], [b, { ticks: ticksOfB }]) => ticksOfB - ticksOfA || (a < b ? -1 : 1));
    for (const [playerId, { seat, team, score, ticks, leftTick }] of left) {
      participants.push({ seat, playerId, isBot: false, ...teamOf(team), rank: lastRank, ticks, leftTick, score });
    }
    return participants;
  }

  save(): SavedRoster {
    return { seated: [...this.#seated], former: [...this.#former] };
  }

  /** Into an empty roster. */
  load({ seated, former }: SavedRoster): void {
    for (const [seat, stint] of seated) this.#seated.set(seat, stint);
    for (const [playerId, one] of former) this.#former.set(playerId, one);
  }

  #stayed(seat: number, tick: number, rank: number, row?: Standing): Participant {
    const { playerId, isBot, joinedTick } = this.#seated.get(seat)!;
    const ticks = tick - joinedTick + (isBot ? 0 : (this.#former.get(playerId)?.ticks ?? 0));
    return { seat, playerId, isBot, ...teamOf(row?.team), rank, ticks, score: row?.score ?? {} };
  }

  #leave({ playerId, joinedTick }: Stint, seat: number, tick: number, rows: readonly Standing[]): void {
    const row = rows.find((one) => one.seat === seat);
    const ticks = (this.#former.get(playerId)?.ticks ?? 0) + tick - joinedTick;
    this.#former.set(playerId, { seat, team: row?.team, score: row?.score ?? {}, ticks, leftTick: tick });
    if (this.#former.size <= LEFT_MAX) return;
    let shortest: string | undefined;
    for (const [id, former] of this.#former) {
      if (shortest === undefined || former.ticks < this.#former.get(shortest)!.ticks) shortest = id;
    }
    this.#former.delete(shortest!);
  }
}

function teamOf(team: number | undefined): { readonly team?: number } {
  return team === undefined ? {} : { team };
}
