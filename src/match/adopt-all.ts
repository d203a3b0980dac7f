/** What a process does at its start with the matches that its predecessor left unfinished in files of its own. */
import { type Adoption, type AdoptionDeps, adoptMatch } from './adoption.ts';
import type { JournalSummary, MatchJournal } from './journal.ts';

/** Rooms made at once: one waits for the disk while another is computed. */
const AT_ONCE = 4;

export interface AdoptAllDeps extends Omit<AdoptionDeps, 'journal'> {
  readonly journal: Pick<MatchJournal, 'list' | 'open' | 'load' | 'loadTail'>;
  /** What became of each. */
  readonly onOutcome: (match: JournalSummary, outcome: Adoption) => void;
}

/**
 * Goes on with every unfinished match that fits, the oldest first. A match that cannot be read is told to `onFault` and
 * left alone.
 */
export async function adoptUnfinished(deps: AdoptAllDeps): Promise<void> {
  const unfinished = (await deps.journal.list()).filter(({ state }) => state === 'unfinished');
  const next = unfinished.values();
  const work = async (): Promise<void> => {
    for (const match of next) {
      try {
        deps.onOutcome(match, await adoptMatch(deps, match));
      } catch (error) {
        deps.onFault(error, match.matchId);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}
