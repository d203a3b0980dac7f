/** What a match pays. A designer changes the numbers; what was paid stays paid. */
import { isEvent } from '../events/event.ts';
import { MatchEnded, type MatchEndedPayload } from '../events/match-events.ts';
import type { Reactor } from '../events/projection.ts';
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

/** Pays for matches that ended, each player once a match. */
export function rewardsReactor(ledger: Pick<Ledger, 'execute'>): Reactor {
  return {
    name: 'match-rewards',
    types: [MatchEnded.type],
    async react(event) {
      if (!isEvent(MatchEnded, event)) return;
      const { matchId } = event.payload;
      await Promise.all(
        rewardsOf(event.payload).map(async ({ playerId, amountMinor }) => {
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
