/**
 * Where a new match goes. Pure but for the random numbers it is given; what it knows of a process is at most a beat old,
 * and what this process has sent there since is counted in.
 */
import { GameError } from '../kernel/errors.ts';
import type { ProcessCard } from './directory.ts';

/** What a new match wants. */
export interface PlacementWish {
  /** Processes of this region come first; those of others take what it has no room for. */
  readonly region?: string;
  /** Of a canary or a cohort: processes of this build come first, in any region. */
  readonly buildId?: string;
  /** The room type must be one that the process plays. */
  readonly roomName?: string;
}

/** A tick that takes this long at its 99th percentile leaves a process of 30 Hz nothing to spare, ms. */
const FULL_TICK_MS = 25;

/** How full a process is, 0 to 1 and above: of its slots or of its time, whichever is worse. */
export function fullness({ load }: ProcessCard, sent = 0): number {
  const slots = load.matchSlots <= 0 ? 1 : 1 - (load.matchSlotsAvailable - sent) / load.matchSlots;
  return Math.max(slots, load.tickP99Ms / FULL_TICK_MS);
}

/** True of a process that may take another match. */
export function hasRoom(card: ProcessCard, sent = 0): boolean {
  return !card.isDraining && card.roles.includes('realtime') && card.load.matchSlotsAvailable - sent > 0;
}

/**
 * The process for a new match: of two that are picked at random the less full one, which spreads a burst almost as well
 * as the emptiest of all would, without everybody choosing the same. Undefined if none has a slot.
 * @param random from 0, below 1
 * @param sent matches that went to a process since its last beat
 */
export function choosePlace(
  cards: readonly ProcessCard[],
  wish: PlacementWish,
  random: () => number,
  sent: ReadonlyMap<string, number> = new Map(),
): ProcessCard | undefined {
  const sentTo = ({ processId }: ProcessCard): number => sent.get(processId) ?? 0;
  const { roomName, buildId, region } = wish;
  let candidates = cards.filter(
    (card) => hasRoom(card, sentTo(card)) && (roomName === undefined || Object.hasOwn(card.plays, roomName)),
  );
  candidates = preferred(candidates, (card) => buildId === undefined || card.buildId === buildId);
  candidates = preferred(candidates, (card) => region === undefined || card.region === region);
  if (candidates.length <= 1) return candidates[0];
  const first = Math.floor(random() * candidates.length);
  const second = (first + 1 + Math.floor(random() * (candidates.length - 1))) % candidates.length;
  const [a, b] = [candidates[first]!, candidates[second]!];
  const by = fullness(a, sentTo(a)) - fullness(b, sentTo(b)) || a.load.players - b.load.players;
  return by <= 0 ? a : b;
}

/** Those that fit, or all if none does. */
export function preferred(cards: ProcessCard[], fits: (card: ProcessCard) => boolean): ProcessCard[] {
  const fitting = cards.filter(fits);
  return fitting.length > 0 ? fitting : cards;
}

export interface PlacementOptions {
  readonly processes: () => readonly ProcessCard[];
  /** What a match wants that is asked for here. */
  readonly wishOf: (roomName: string) => PlacementWish;
  readonly random?: () => number;
}

/** Chooses, and remembers what it has chosen until the processes have said how full they are now. */
export class Placement {
  readonly #options: PlacementOptions;
  /** By process: what was sent there since the beat that this card came with. */
  readonly #sent = new Map<string, { readonly card: ProcessCard; count: number }>();

  constructor(options: PlacementOptions) {
    this.#options = options;
  }

  /**
   * @param among processes it may be, best first: of the second only if all of the first are full. All if not given.
   * @param region in place of the one that is wished for anyway
   * @throws GameError NO_SLOTS
   */
  choose(roomName: string, among?: readonly (readonly ProcessCard[])[], region?: string): string {
    const cards = this.#options.processes();
    const wish = { roomName, ...this.#options.wishOf(roomName), ...(region === undefined ? {} : { region }) };
    const counts = this.#counts(cards);
    let chosen: ProcessCard | undefined;
    for (const some of among ?? [cards]) {
      chosen ??= choosePlace(some, wish, this.#options.random ?? Math.random, counts);
    }
    if (chosen === undefined) throw new GameError('NO_SLOTS', { roomName });
    const sent = this.#sent.get(chosen.processId);
    if (sent?.card === chosen) sent.count++;
    else this.#sent.set(chosen.processId, { card: chosen, count: 1 });
    return chosen.processId;
  }

  /**
   * The process for a room that is no match and takes no slot, such as a queue: this one where it may be, as it has been
   * asked.
   * @throws GameError NO_SLOTS if no process takes rooms
   */
  chooseHost(roomName: string, processId: string): string {
    const hosts = this.#options
      .processes()
      .filter(({ isDraining, roles }) => !isDraining && roles.includes('realtime'));
    hosts.sort((a, b) => a.load.players - b.load.players);
    const chosen = hosts.find((card) => card.processId === processId) ?? hosts[0];
    if (chosen === undefined) throw new GameError('NO_SLOTS', { roomName });
    return chosen.processId;
  }

  /** Matches that the processes of the cluster can still take, as of the last beats. */
  slotsAvailable(): number {
    const cards = this.#options.processes();
    const counts = this.#counts(cards);
    return cards
      .filter((card) => hasRoom(card))
      .reduce((sum, card) => sum + Math.max(0, card.load.matchSlotsAvailable - (counts.get(card.processId) ?? 0)), 0);
  }

  #counts(cards: readonly ProcessCard[]): Map<string, number> {
    const counts = new Map<string, number>();
    const byId = new Map(cards.map((card) => [card.processId, card]));
    for (const [processId, { card, count }] of this.#sent) {
      // A newer card counts them itself.
      if (byId.get(processId) === card) counts.set(processId, count);
      else this.#sent.delete(processId);
    }
    return counts;
  }
}
