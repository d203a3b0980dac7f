/**
 * Going on with a match whose process is gone: it is claimed, read, and its room made again under the same id. A process
 * that starts does it with what it finds in its own files, a cluster with the matches of a process that died; both by
 * {@link adoptMatch}.
 *
 * What a room is to be restored from waits here, by room id, and never travels in join options: those are a stranger's.
 */
import { matchMaker } from '@colyseus/core';
import { GameError } from '../kernel/errors.ts';
import type { MatchHeader } from '../kernel/match-header.ts';
import { type Compatibility, isSame } from './compatibility.ts';
import {
  ADOPTION_TRIES_MAX,
  type JournalWriter,
  type MatchJournal,
  type RecordedMatch,
  type RecordedTail,
} from './journal.ts';

/** A match that was claimed and waits for its room. */
export interface PendingAdoption {
  readonly roomId: string;
  /** What there is to go on from, as it was durable after the claim: nobody else can have added to it. */
  readonly recorded: RecordedTail;
  /** All of it, for who cannot begin anywhere in the tail. @throws GameError JOURNAL_UNAVAILABLE, JOURNAL_CORRUPT, JOURNAL_FENCED */
  readonly loadWhole: () => Promise<RecordedMatch>;
  /** The claim; whoever takes the adoption closes it. */
  readonly writer: JournalWriter;
  /** Resolves once players can come: only then it makes sense to wait for them. Default: they can. */
  readonly open: Promise<unknown> | undefined;
  /** It was tried in vain before this time: it does not wait for its players, so that it is soon known to be well. */
  readonly isSuspect: boolean;
  /** To be called when the room has recorded its first tick. */
  readonly onTick?: () => void;
}

/** Longest that a match which was tried in vain before keeps the others of its kind waiting for its first tick, ms. */
const SUSPECT_MS = 3_000;
/**
 * Those that were tried in vain before go on one after another, each until its first tick is durable: the process may die
 * of one of them, and nobody could tell afterwards of which of those that were being tried.
 */
let suspects: Promise<unknown> = Promise.resolve();

const pending = new Map<string, PendingAdoption>();
/** By room id: matches that nobody tries any more. */
const parked = new Map<string, string>();

/** What the room of this id, which is being made, is to be restored from. */
export function pendingAdoptionOf(roomId: string): PendingAdoption | undefined {
  return pending.get(roomId);
}

/** Whether the room's match is kept for inspection and will not go on, as far as this process has met it. */
export function isParkedRoom(roomId: string): boolean {
  return parked.has(roomId);
}

export type Adoption =
  | { readonly kind: 'adopted'; readonly roomId: string; readonly epoch: number; readonly ticks: number }
  /** Somebody else has it, or there is no such match. */
  | { readonly kind: 'lost' }
  | { readonly kind: 'ended' }
  /** This build plays it by other rules, or not at all; it is left as it was. `here` is absent for a room type it lacks. */
  | { readonly kind: 'incompatible'; readonly match: Partial<Compatibility>; readonly here?: Compatibility }
  /** Restoring it failed, or killed the process, as often as it is tried; its journal is kept. */
  | { readonly kind: 'parked'; readonly roomId: string };

export interface AdoptionDeps {
  readonly journal: Pick<MatchJournal, 'open' | 'load' | 'loadTail'>;
  /** What this process plays, by room name. */
  readonly plays: Readonly<Record<string, Compatibility>>;
  /** As in {@link PendingAdoption}. */
  readonly open?: Promise<unknown>;
  /** A try failed; another follows unless it was the last. */
  readonly onFault: (error: unknown, matchId: string) => void;
}

/**
 * Goes on with a match here, if nobody else does. Resolves once its room is there and waits for its players.
 * @throws GameError JOURNAL_UNAVAILABLE, STORE_UNAVAILABLE: to be tried again, which does not count against the match;
 *   JOURNAL_CORRUPT
 */
export async function adoptMatch(deps: AdoptionDeps, { matchId }: { readonly matchId: string }): Promise<Adoption> {
  for (;;) {
    const found = await deps.journal.loadTail(matchId);
    if (found === undefined) return { kind: 'lost' };
    const refusal = refusalOf(found, deps.plays);
    if (refusal !== undefined) return refusal;
    const isSuspect = found.triesInVain > 0;
    const trying = isSuspect ? suspects.then(() => tryToAdopt(deps, found)) : tryToAdopt(deps, found);
    if (isSuspect) suspects = trying.catch(() => undefined);
    const outcome = await trying;
    if (outcome !== undefined) return outcome;
  }
}

/** @returns undefined if it failed and may be tried again */
async function tryToAdopt(deps: AdoptionDeps, found: RecordedTail): Promise<Adoption | undefined> {
  const { matchId, roomName } = found.header;
  const roomId = found.header.roomId!;
  const claimed = await claim(deps.journal, found);
  if (!('writer' in claimed)) return claimed;
  const { writer } = claimed;
  try {
    const ticked = Promise.withResolvers<void>();
    // Only now: until the claim its former owner may have gone on.
    const adoption = await readAdoption(deps.journal, writer, { roomId, open: deps.open });
    pending.set(roomId, { ...adoption, onTick: ticked.resolve });
    await matchMaker.handleCreateRoom(roomName, {}, undefined, roomId);
    if (adoption.isSuspect) {
      const isWell = ticked.promise.then(() => writer.flush());
      await within(SUSPECT_MS, isWell);
    }
    const { firstTick, entries } = adoption.recorded;
    return { kind: 'adopted', roomId, epoch: writer.epoch, ticks: firstTick + entries.length };
  } catch (error) {
    if (isStoreAway(error) && !isFenced(writer.failure)) {
      withdraw(writer);
      throw error;
    }
    await writer.close();
    if (isFenced(error) || isFenced(writer.failure)) return { kind: 'lost' };
    deps.onFault(error, matchId);
    return undefined;
  } finally {
    pending.delete(roomId);
  }
}

/** Said as soon as the store takes it, for which nobody waits; who claims the match before that counts the try. */
function withdraw(writer: JournalWriter): void {
  writer.withdrawTry();
  void writer
    .flush()
    .catch(() => undefined)
    .then(() => writer.close());
}

/** Waits for work, which is somebody else's to look after, but no longer than this. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work.catch(() => undefined), over]);
  clearTimeout(timer);
}

/**
 * Reads what the owner of a claim goes on from. From here on it is a try: also who dies of reading has tried.
 * @throws GameError JOURNAL_UNAVAILABLE, JOURNAL_CORRUPT; JOURNAL_FENCED if somebody has claimed the match since
 */
export async function readAdoption(
  journal: Pick<MatchJournal, 'load' | 'loadTail'>,
  writer: JournalWriter,
  { roomId, open }: Pick<PendingAdoption, 'roomId' | 'open'>,
): Promise<PendingAdoption> {
  const { matchId, epoch } = writer;
  const own = <T extends RecordedTail>(recorded: T | undefined): T => {
    if (recorded?.epoch === epoch) return recorded;
    throw writer.failure ?? new GameError('JOURNAL_FENCED', { matchId });
  };
  writer.tryRestore();
  await writer.flush();
  const recorded = own(await journal.loadTail(matchId));
  const loadWhole = async () => own(await journal.load(matchId));
  // One of them is this one.
  return { roomId, recorded, writer, open, loadWhole, isSuspect: recorded.triesInVain > 1 };
}

/** Why a match is not even claimed here. */
function refusalOf(recorded: RecordedTail, plays: AdoptionDeps['plays']): Adoption | undefined {
  const { header, end, triesInVain } = recorded;
  if (end !== undefined) return { kind: 'ended' };
  const here = plays[header.roomName];
  const match = compatibilityIn(header);
  if (here === undefined || match === undefined || header.roomId === undefined || !isSame(match, here)) {
    return { kind: 'incompatible', match: match ?? header, ...(here === undefined ? {} : { here }) };
  }
  if (triesInVain < ADOPTION_TRIES_MAX) return undefined;
  parked.set(header.roomId, header.matchId);
  return { kind: 'parked', roomId: header.roomId };
}

/** What a match was begun with; undefined for one of an older program, which did not say. */
function compatibilityIn({ simId, simVersion, schemaHash }: MatchHeader): Compatibility | undefined {
  return schemaHash === undefined ? undefined : { simId, simVersion, schemaHash };
}

async function claim(
  journal: AdoptionDeps['journal'],
  { header, epoch }: RecordedTail,
): Promise<{ readonly writer: JournalWriter } | Adoption> {
  try {
    return { writer: await journal.open(header, epoch + 1) };
  } catch (error) {
    if (isFenced(error)) return { kind: 'lost' };
    if (error instanceof GameError && error.code === 'MATCH_ENDED') return { kind: 'ended' };
    throw error;
  }
}

/** Nothing is wrong with the match: to read it or to say where it is was not possible. Through the framework, too. */
function isStoreAway(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === 'JOURNAL_UNAVAILABLE' || code === 'STORE_UNAVAILABLE';
}

function isFenced(error: unknown): boolean {
  return error instanceof GameError && error.code === 'JOURNAL_FENCED';
}
