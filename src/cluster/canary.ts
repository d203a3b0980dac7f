/**
 * Which build a new match is given to: a share of them, or those of a cohort, to a new build (the canary), the rest to the
 * others. Pure; the state is one for the whole cluster and is changed while it runs, see canary-desk.ts.
 *
 * A match keeps the build it was made with. A percentage counts matches, so anybody may join any open room; a cohort
 * counts players, so its members and the others do not meet in rooms that they did not ask for by id. A build that was
 * rolled back gets neither new matches nor new players.
 */
import * as z from 'zod';
import { GameError } from '../kernel/errors.ts';
import { type Hash64, hashWords } from '../kernel/hash.ts';
import type { ProcessCard } from './directory.ts';

export const BUILD_ID = /^[\w.+-]{1,64}$/;
/** `moderators` and `admins` are roles of accounts; any other name is a list of players that operators keep. */
export const COHORT = /^[a-z][a-z0-9-]{0,31}$/;
const ROLE_COHORTS: Readonly<Record<string, readonly string[]>> = {
  moderators: ['moderator', 'admin'],
  admins: ['admin'],
};
/** Players that one list of a cohort names. Above: COHORT_FULL. */
export const COHORT_PLAYERS_MAX = 10_000;

/** For metrics and listings: the canary's matches, and all others. */
export const TRACKS = ['stable', 'canary'] as const;
export type Track = (typeof TRACKS)[number];

const build = z.string().regex(BUILD_ID);
export const canaryState = z.discriminatedUnion('phase', [
  /** Matches go to any build. */
  z.strictObject({ phase: z.literal('none') }),
  z.strictObject({ phase: z.literal('percent'), build, percent: z.int().min(0).max(100) }),
  z.strictObject({ phase: z.literal('cohort'), build, cohort: z.string().regex(COHORT) }),
  /** It has proved itself: all new matches go to it. */
  z.strictObject({ phase: z.literal('promoted'), build }),
  /** It is bad: no new match and no new player goes to it. */
  z.strictObject({ phase: z.literal('rolled-back'), build }),
]);
export type CanaryState = Readonly<z.output<typeof canaryState>>;

export const NO_CANARY: CanaryState = { phase: 'none' };

/**
 * Reads `build=ID,percent=N` or `build=ID,cohort=NAME`, as `HYPOGEUM_CANARY` has it.
 * @returns undefined if it is neither
 */
export function parseCanary(text: string): CanaryState | undefined {
  const [, buildId, percent, cohort] = /^build=([^,]+),(?:percent=(\d{1,3})|cohort=([^,]+))$/.exec(text.trim()) ?? [];
  const parsed = canaryState.safeParse(
    percent === undefined
      ? { phase: 'cohort', build: buildId, cohort }
      : { phase: 'percent', build: buildId, percent: Number(percent) },
  );
  return parsed.success ? parsed.data : undefined;
}

/** One line for people. */
export function describeCanary(state: CanaryState): string {
  switch (state.phase) {
    case 'none':
      return 'no build is tried: new matches go to any build';
    case 'percent':
      return `build ${state.build} gets ${state.percent} % of new matches`;
    case 'cohort':
      return `build ${state.build} gets the new matches of the cohort ${state.cohort}`;
    case 'promoted':
      return `build ${state.build} is promoted: it gets all new matches`;
    case 'rolled-back':
      return `build ${state.build} is rolled back: it gets no new matches`;
  }
}

/** @throws GameError CANARY_NONE if no build is tried */
export function promote(state: CanaryState): CanaryState {
  if (state.phase === 'percent' || state.phase === 'cohort') return { phase: 'promoted', build: state.build };
  throw new GameError('CANARY_NONE', { phase: state.phase });
}

/** Also of one that was promoted: that it is bad may be seen late. @throws GameError CANARY_NONE */
export function rollBack(state: CanaryState): CanaryState {
  if (state.phase === 'percent' || state.phase === 'cohort' || state.phase === 'promoted') {
    return { phase: 'rolled-back', build: state.build };
  }
  throw new GameError('CANARY_NONE', { phase: state.phase });
}

/** Of the matches of a build. One that was rolled back stays the canary for as long as its matches last. */
export function trackOfBuild(state: CanaryState, buildId: string): Track {
  if (state.phase === 'none' || state.phase === 'promoted') return 'stable';
  return buildId === state.build ? 'canary' : 'stable';
}

/**
 * Whether a percentage picks a match. By its id alone, so that every process decides alike, also a second time; a larger
 * percentage picks the same ones and more.
 */
export function isPicked(matchId: string, percent: number): boolean {
  const words = Int32Array.from(matchId, (char) => char.charCodeAt(0));
  const hash: Hash64 = { hi: 0, lo: 0 };
  return hashWords(words, words.length, hash).lo % 10_000 < percent * 100;
}

/** Players of a cohort by what their account is; undefined where a list decides. */
export function isOfRoleCohort(cohort: string, role: string): boolean | undefined {
  return ROLE_COHORTS[cohort]?.includes(role);
}

/**
 * Which rooms a player who asks for any room may be put into; undefined: all of them. Only where it matters, and where
 * there is a process to make such a room: otherwise every player would get a room alone.
 * @param isMember of the cohort, where there is one
 */
export function trackOfJoin(
  state: CanaryState,
  isMember: boolean,
  processes: readonly ProcessCard[],
): Track | undefined {
  if (state.phase !== 'cohort' && state.phase !== 'rolled-back') return undefined;
  const track = state.phase === 'cohort' && isMember ? 'canary' : 'stable';
  const isMade = takers(processes).some(({ buildId }) => trackOfBuild(state, buildId) === track);
  return isMade ? track : undefined;
}

/**
 * The processes among which a new match is placed, best first: those of the build it is for, then those that may take it
 * if all of the first are full. The others take a canary's match, but a canary takes none that was not meant for it, or
 * a busy evening would make it everybody's. Where no process at all is of the build it is for, any takes it: a match on
 * another build is better than none.
 * @param track as {@link trackOfJoin} decided it for the player who is the first in it
 */
export function placesFor(
  state: CanaryState,
  match: { readonly matchId: string | undefined; readonly track: Track | undefined },
  processes: readonly ProcessCard[],
): readonly (readonly ProcessCard[])[] {
  const all = takers(processes);
  const meant = all.filter(({ buildId }) => isMeant(state, match, buildId));
  if (meant.length === 0 || meant.length === all.length) return [all];
  const isForNew = state.phase !== 'rolled-back' && state.phase !== 'none' && meant[0]!.buildId === state.build;
  return isForNew ? [meant, all.filter((card) => !meant.includes(card))] : [meant];
}

/**
 * Whether a process is a good one to go on with a match of that build when its own process goes: one of its own track, so
 * that a build which is tried gets no matches that were not meant for it, and one that was rolled back gets none. With no
 * such process any goes on with it that can.
 */
export function isKeeper(state: CanaryState, buildId: string, card: ProcessCard): boolean {
  const track = state.phase === 'rolled-back' ? 'stable' : trackOfBuild(state, buildId);
  return trackOfBuild(state, card.buildId) === track;
}

function isMeant(
  state: CanaryState,
  { matchId, track }: { readonly matchId: string | undefined; readonly track: Track | undefined },
  buildId: string,
): boolean {
  switch (state.phase) {
    case 'none':
      return true;
    case 'promoted':
      return buildId === state.build;
    case 'rolled-back':
      return buildId !== state.build;
    case 'percent': {
      const isForCanary = matchId !== undefined && isPicked(matchId, state.percent);
      return (buildId === state.build) === isForCanary;
    }
    case 'cohort':
      // A match that was made for many at once belongs to no cohort.
      return trackOfBuild(state, buildId) === (track ?? 'stable');
  }
}

function takers(processes: readonly ProcessCard[]): ProcessCard[] {
  return processes.filter(({ isDraining, roles }) => !isDraining && roles.includes('realtime'));
}
