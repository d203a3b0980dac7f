/**
 * What a match pays. A designer changes the numbers; what was paid stays paid.
 *
 * Two accounts of one person can play against one another all day long, and anonymous accounts cost nothing. So there is
 * a most for each player and UTC day, which somebody who plays for fun does not notice. It is a fold of the matches of
 * that day in the order of the log: whoever computes it again, in whatever process, comes to the same.
 */
import { isEvent } from '../events/event.ts';
import type { EventLog, StoredEvent } from '../events/event-log.ts';
import { MatchEnded, type MatchEndedPayload } from '../events/match-events.ts';
import type { Reactor } from '../events/projection.ts';
import { eventAt } from '../events/reactor-loop.ts';
import { GameError } from '../kernel/errors.ts';
import { grant } from './decide.ts';
import type { Ledger } from './ledger.ts';

export const REWARDS = Object.freeze({
  currency: 'coins',
  /** By rank from 1; whoever comes after them gets {@link takingPart}. */
  byRank: [50, 30, 20] as readonly number[],
  takingPart: 10,
  /** Share of the match that one has to have been seated for. */
  presenceMin: 0.5,
  /** A match shorter than this pays nothing, s. */
  secondsMin: 30,
  /** With fewer people than this, ranks are worth no more than taking part: bots do not lose money. */
  peopleForRanks: 2,
  /** One player, one UTC day, by when matches were recorded: 20 first places. */
  perDayMax: 1_000,
});

export interface Reward {
  readonly playerId: string;
  readonly amountMinor: number;
}

/** Who gets what for a match; nothing for one that was not played to its end. */
export function rewardsOf({ reason, ticks, tickRateHz, standings }: MatchEndedPayload): readonly Reward[] {
  if (reason !== 'completed' || ticks < REWARDS.secondsMin * tickRateHz) return [];
  const people = standings.filter(({ isBot, playerId }) => !isBot && playerId !== '');
  const isRanked = people.length >= REWARDS.peopleForRanks;
  const rewards = new Map<string, number>();
  for (const { playerId, rank, ticks: seated, leftTick } of people) {
    if (leftTick !== undefined || seated < ticks * REWARDS.presenceMin || rewards.has(playerId)) continue;
    rewards.set(playerId, (isRanked ? REWARDS.byRank[rank - 1] : undefined) ?? REWARDS.takingPart);
  }
  return [...rewards].map(([playerId, amountMinor]) => ({ playerId, amountMinor }));
}

const DAY_MS = 86_400_000;
/** Matches read at once. More than one is there only while the reactor is behind. */
const PAGE_MAX = 32;

/** Rewards with the most of a day. Asked for one match at a time. */
class DailyRewards {
  readonly #log: Pick<EventLog, 'readAll'>;
  #day = -1;
  /** The last match that counts in {@link #paid}, and what it pays. */
  #position = 0;
  #rewards: readonly Reward[] = [];
  /** By player, minor units, on {@link #day}. */
  #paid = new Map<string, number>();

  constructor(log: Pick<EventLog, 'readAll'>) {
    this.#log = log;
  }

  /** @throws what reading the log throws */
  async of(event: StoredEvent): Promise<readonly Reward[]> {
    const day = dayOf(event);
    if (event.position === this.#position) return this.#rewards;
    if (day !== this.#day || event.position < this.#position) {
      this.#position = await this.#lastBefore(day, event.position);
      this.#day = day;
      this.#paid = new Map();
    }
    // Also those that another process was handed.
    const options = { types: [MatchEnded.type], pageMax: PAGE_MAX };
    for await (const page of this.#log.readAll(this.#position, options)) {
      for (const each of page) {
        if (!isEvent(MatchEnded, each)) continue;
        this.#rewards = this.#pay(each.payload);
        this.#position = each.position;
        if (each.position === event.position) return this.#rewards;
      }
    }
    throw new RangeError(`there is no match at position ${event.position}`);
  }

  #pay(match: MatchEndedPayload): readonly Reward[] {
    const rewards: Reward[] = [];
    for (const { playerId, amountMinor } of rewardsOf(match)) {
      const paid = this.#paid.get(playerId) ?? 0;
      const due = Math.min(amountMinor, REWARDS.perDayMax - paid);
      if (due <= 0) continue;
      this.#paid.set(playerId, paid + due);
      rewards.push({ playerId, amountMinor: due });
    }
    return rewards;
  }

  /** Position of the last event before a day; the clock of the log never runs backwards. @param some one of that day */
  async #lastBefore(day: number, some: number): Promise<number> {
    let before = 0;
    let within = some;
    while (within - before > 1) {
      const middle = before + Math.floor((within - before) / 2);
      const event = await eventAt(this.#log, middle);
      if (event === undefined || dayOf(event) >= day) within = middle;
      else before = middle;
    }
    return before;
  }
}

function dayOf({ recordedAtMs }: StoredEvent): number {
  return Math.floor(recordedAtMs / DAY_MS);
}

/** Pays for matches that ended, each player once a match, up to the most of a day. */
export function rewardsReactor(ledger: Pick<Ledger, 'execute'>, log: Pick<EventLog, 'readAll'>): Reactor {
  const daily = new DailyRewards(log);
  return {
    name: 'match-rewards',
    types: [MatchEnded.type],
    async react(event) {
      if (!isEvent(MatchEnded, event)) return;
      const { matchId } = event.payload;
      await Promise.all(
        (await daily.of(event)).map(async ({ playerId, amountMinor }) => {
          const why = { reason: 'match-reward', cause: `match/${matchId}` };
          try {
            await ledger.execute({
              key: `reward/${matchId}/${playerId}`,
              decide: grant(playerId, [[REWARDS.currency, amountMinor]], [], why),
            });
          } catch (error) {
            // Who is gone is paid nothing.
            if (!(error instanceof GameError) || error.code !== 'ACCOUNT_ERASED') throw error;
          }
        }),
      );
    },
  };
}
