/**
 * What does not change of tickets while they wait, as columns: by slot, which a ticket keeps as long as it waits. A table
 * that is kept from cycle to cycle looks at newcomers only; it knows tickets by identity, so they must not be changed.
 */
import { Blocks } from './blocks.ts';
import { type Rules, ticketRating } from './rules.ts';
import { fillRoles, RoleCounts, teamSeats } from './teams.ts';
import type { Ticket, WaitCause } from './ticket.ts';

/** Regions of a pool, one bit each; of more, those that the fewest tickets measured count as not measured. */
const REGIONS_MAX = 30;
/** What a ticket accepts that measured nothing: every region. */
export const ANY_REGION = 2 ** REGIONS_MAX - 1;

export class TicketTable {
  readonly rules: Rules;
  readonly roleCounts: RoleCounts;
  readonly hasRoles: boolean;
  /** Slots of all, the oldest first. */
  byAge: Int32Array = new Int32Array(0);
  /** Slots of those who can be matched, the lowest rating first, of equal ones the oldest. */
  byRating: Int32Array = new Int32Array(0);
  /** Who is not here, as one of its players waits with an older ticket or is in it twice; the oldest first. */
  duplicates: readonly LeftOut[] = [];
  /** Ascending. */
  regions: readonly string[] = [];

  // By slot.
  readonly tickets: (Ticket | undefined)[] = [];
  /** Why nobody can be matched with it, if so. */
  readonly causes: (WaitCause | undefined)[] = [];
  readonly blocks = new Blocks();
  createdAtMs = new Float64Array(0);
  rating = new Float64Array(0);
  size = new Uint8Array(0);
  /** Sum over its players of what one counts for more than a bot. */
  strength = new Float64Array(0);
  /** Regions that were measured, as bits. */
  measured = new Int32Array(0);
  /** To the nearest region, ms. */
  nearestMs = new Float64Array(0);
  /** By slot x regions, ms; 0 where nothing was measured. */
  latencyMs = new Uint16Array(0);
  /** By slot x sets of roles: players who play nothing outside of it. */
  wishes = new Int32Array(0);
  /** Its place among those who can be matched, by age. */
  rank = new Int32Array(0);

  readonly #slotOf = new Map<Ticket, number>();
  readonly #slotOfPlayer = new Map<string, number>();
  readonly #ticketsOfRegion = new Map<string, number>();
  #hasOtherRegions = false;
  #free: number[] = [];
  /** The tickets of the last update in their order, and their slots; by slot, the place in it. */
  #last: readonly Ticket[] = [];
  #lastSlots = new Int32Array(0);
  #lastAt = new Int32Array(0);
  /** By slot: the last update that saw it. */
  #seenIn = new Int32Array(0);
  #updates = 0;

  constructor(rules: Rules) {
    this.rules = rules;
    const seats = teamSeats(rules.roles, rules.teamSize);
    this.hasRoles = seats.roles.length > 0;
    this.roleCounts = new RoleCounts(seats);
  }

  /**
   * These wait now, and nobody else. In steps: the table is of no use until the last one.
   * @returns false if a newcomer is older than another ticket with one of its players, which only a new table can sort
   * out, or if an object comes twice; the table is then of no use any more
   * @throws RangeError if one is of another mode
   */
  *update(tickets: readonly Ticket[]): Generator<undefined, boolean, undefined> {
    const slots = new Int32Array(tickets.length);
    const newcomers = this.#recognise(tickets, slots);
    if (newcomers === undefined) return false;
    const [before, beforeByRating] = this.#dropUnseen();
    this.#grow(this.#slotOf.size + newcomers.length);
    newcomers.sort((a, b) => byAge(tickets[a]!, tickets[b]!));
    const added: number[] = [];
    const duplicates: LeftOut[] = [];
    for (const at of newcomers) {
      yield;
      const ticket = tickets[at]!;
      const cause = standsInItsOwnWay(ticket, this.rules);
      const duplicate = cause === undefined ? this.#duplicateOf(ticket) : undefined;
      if (duplicate !== undefined) {
        duplicates.push({ ticket, cause: duplicate });
        continue;
      }
      const slot = this.#add(ticket, cause);
      if (slot === undefined) return false;
      slots[at] = slot;
      added.push(slot);
    }
    for (let at = 0; at < slots.length; at++) if (slots[at] !== -1) this.#lastAt[slots[at]!] = at;
    this.#last = [...tickets];
    this.#lastSlots = slots;
    this.duplicates = duplicates;
    const matchable = added.filter((slot) => this.causes[slot] === undefined);
    this.#settleRegions(matchable);
    this.#sort(before, beforeByRating, added, matchable);
    yield;
    if (matchable.length > 0) yield* this.blocks.add(matchable, beforeByRating, this.tickets, this.#slotOfPlayer);
    return true;
  }

  /** The older ticket here with a player of one that is not, or the ticket's own fault; undefined if there is none. */
  #duplicateOf(ticket: Ticket): WaitCause | undefined {
    for (const { playerId } of ticket.players) {
      const slot = this.#slotOfPlayer.get(playerId);
      const other = slot === undefined ? undefined : this.tickets[slot]!;
      if (other !== undefined && byAge(other, ticket) < 0) return { code: 'DUPLICATE', ticketId: other.ticketId };
    }
    return hasPlayerTwice(ticket) ? { code: 'DUPLICATE', ticketId: ticket.ticketId } : undefined;
  }

  /**
   * Fills in the slots of tickets that are here, -1 for the others.
   * @returns indexes of the others; undefined if one comes twice
   */
  #recognise(tickets: readonly Ticket[], slots: Int32Array): number[] | undefined {
    this.#updates++;
    const newcomers: number[] = [];
    // Who stays mostly stays in the order of before, and then needs no look-up.
    let next = 0;
    for (let at = 0; at < tickets.length; at++) {
      const ticket = tickets[at]!;
      let slot = -1;
      if (next < this.#last.length && this.#last[next] === ticket) {
        slot = this.#lastSlots[next++]!;
      } else {
        slot = this.#slotOf.get(ticket) ?? -1;
        if (slot !== -1) next = this.#lastAt[slot]! + 1;
      }
      slots[at] = slot;
      if (slot === -1) {
        newcomers.push(at);
        continue;
      }
      if (this.#seenIn[slot] === this.#updates) return undefined;
      this.#seenIn[slot] = this.#updates;
    }
    return newcomers;
  }

  /** @returns who is left, by age and by rating */
  #dropUnseen(): [Int32Array, Int32Array] {
    const isSeen = (slot: number): boolean => this.#seenIn[slot] === this.#updates;
    const byRating = this.byRating.filter(isSeen);
    const byAge = this.byAge.filter((slot) => {
      if (isSeen(slot)) return true;
      this.#remove(slot);
      return false;
    });
    return [byAge, byRating];
  }

  #remove(slot: number): void {
    const ticket = this.tickets[slot]!;
    this.#slotOf.delete(ticket);
    this.#free.push(slot);
    this.tickets[slot] = undefined;
    if (this.causes[slot] !== undefined) {
      this.causes[slot] = undefined;
      return;
    }
    for (const { playerId } of ticket.players) this.#slotOfPlayer.delete(playerId);
    this.#countRegions(ticket, -1);
    this.blocks.remove(slot);
  }

  /**
   * @param cause why nobody can be matched with it, if so
   * @returns undefined if it, or one of its players, is here already
   */
  #add(ticket: Ticket, cause: WaitCause | undefined): number | undefined {
    const { rules } = this;
    const { mode, ticketId, players, createdAtMs } = ticket;
    if (mode !== rules.mode) throw new RangeError(`ticket ${ticketId} is of mode ${mode}, the rules of ${rules.mode}`);
    if (this.#slotOf.has(ticket)) return undefined;
    const slot = this.#free.pop() ?? this.#slotOf.size;
    this.#slotOf.set(ticket, slot);
    this.tickets[slot] = ticket;
    this.createdAtMs[slot] = createdAtMs;
    this.#seenIn[slot] = this.#updates;
    this.causes[slot] = cause;
    if (cause !== undefined) return slot;
    for (const { playerId } of players) {
      if (this.#slotOfPlayer.has(playerId)) return undefined;
      this.#slotOfPlayer.set(playerId, slot);
    }
    this.rating[slot] = ticketRating(rules, players);
    this.size[slot] = players.length;
    const ofBot = rules.bots?.mu ?? 0;
    this.strength[slot] = players.reduce((sum, { mu }) => sum + mu - ofBot, 0);
    if (this.hasRoles) this.wishes.set(this.roleCounts.of(players), slot * this.roleCounts.sets);
    this.#countRegions(ticket, 1);
    return slot;
  }

  #grow(slots: number): void {
    const before = this.rating.length;
    if (slots <= before) return;
    const room = Math.max(64, slots, 2 * before);
    this.createdAtMs = enlarged(this.createdAtMs, new Float64Array(room));
    this.rating = enlarged(this.rating, new Float64Array(room));
    this.size = enlarged(this.size, new Uint8Array(room));
    this.strength = enlarged(this.strength, new Float64Array(room));
    this.measured = enlarged(this.measured, new Int32Array(room));
    this.nearestMs = enlarged(this.nearestMs, new Float64Array(room));
    this.latencyMs = enlarged(this.latencyMs, new Uint16Array(room * this.regions.length));
    this.wishes = enlarged(this.wishes, new Int32Array(this.hasRoles ? room * this.roleCounts.sets : 0));
    this.rank = enlarged(this.rank, new Int32Array(room));
    this.#lastAt = enlarged(this.#lastAt, new Int32Array(room));
    this.#seenIn = enlarged(this.#seenIn, new Int32Array(room));
    this.blocks.grow(room);
  }

  // Regions -------------------------------------------------------------------------------------------------------

  #countRegions({ latencies }: Ticket, by: 1 | -1): void {
    for (const region in latencies) {
      const count = (this.#ticketsOfRegion.get(region) ?? 0) + by;
      if (count === 0) this.#ticketsOfRegion.delete(region);
      else this.#ticketsOfRegion.set(region, count);
      this.#hasOtherRegions ||= count === 0 || (by === 1 && count === 1) || this.#ticketsOfRegion.size > REGIONS_MAX;
    }
  }

  #settleRegions(added: readonly number[]): void {
    let laidOut: Iterable<number> = added;
    if (this.#hasOtherRegions) {
      this.#hasOtherRegions = false;
      const regions = mostUsed(this.#ticketsOfRegion);
      if (regions.join() !== this.regions.join()) {
        this.regions = regions;
        this.latencyMs = new Uint16Array(this.rating.length * regions.length);
        laidOut = this.#slotOf.values();
      }
    }
    const bitOf = new Map(this.regions.map((region, bit) => [region, bit]));
    for (const slot of laidOut) if (this.causes[slot] === undefined) this.#layOut(slot, bitOf);
  }

  #layOut(slot: number, bitOf: ReadonlyMap<string, number>): void {
    const { latencies } = this.tickets[slot]!;
    const at = slot * this.regions.length;
    this.latencyMs.fill(0, at, at + this.regions.length);
    let measured = 0;
    let nearestMs = Infinity;
    for (const region in latencies) {
      const bit = bitOf.get(region);
      if (bit === undefined) continue;
      const ms = latencies[region]!;
      this.latencyMs[at + bit] = ms;
      measured |= 1 << bit;
      nearestMs = Math.min(nearestMs, ms);
    }
    this.measured[slot] = measured;
    this.nearestMs[slot] = nearestMs;
  }

  // Orders --------------------------------------------------------------------------------------------------------

  /** @param added the oldest first */
  #sort(before: Int32Array, beforeByRating: Int32Array, added: readonly number[], matchable: number[]): void {
    const { tickets, rating, rank, causes } = this;
    this.byAge = merge(before, added, (a, b) => byAge(tickets[a]!, tickets[b]!));
    let ranks = 0;
    for (const slot of this.byAge) if (causes[slot] === undefined) rank[slot] = ranks++;
    const byRating = (a: number, b: number): number => rating[a]! - rating[b]! || rank[a]! - rank[b]!;
    this.byRating = merge(beforeByRating, matchable.sort(byRating), byRating);
  }
}

/** Two sorted lists as one. */
function merge(one: Int32Array, other: readonly number[], order: (a: number, b: number) => number): Int32Array {
  const merged = new Int32Array(one.length + other.length);
  let [i, j] = [0, 0];
  for (let at = 0; at < merged.length; at++) {
    const isOther = i === one.length || (j < other.length && order(other[j]!, one[i]!) < 0);
    merged[at] = isOther ? other[j++]! : one[i++]!;
  }
  return merged;
}

function enlarged<Column extends { set(values: Column): void }>(column: Column, larger: Column): Column {
  larger.set(column);
  return larger;
}

/** Ascending; of too many, those that most tickets measured. */
function mostUsed(counts: ReadonlyMap<string, number>): string[] {
  const byUse = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return byUse
    .slice(0, REGIONS_MAX)
    .map(([region]) => region)
    .sort();
}

/** Why no match of these rules can ever take the ticket, if so: what a queue refuses at once. */
export function standsInItsOwnWay({ players }: Pick<Ticket, 'players'>, rules: Rules): WaitCause | undefined {
  if (players.length > rules.teamSize) return { code: 'PARTY_SIZE', size: players.length, sizeMax: rules.teamSize };
  const hasWishes = players.some(({ roles }) => roles !== undefined);
  if (hasWishes && fillRoles(players, teamSeats(rules.roles, rules.teamSize)) === undefined) return { code: 'ROLES' };
  return undefined;
}

/** The oldest first, of equal age by id. */
function byAge(a: Ticket, b: Ticket): number {
  return a.createdAtMs - b.createdAtMs || (a.ticketId < b.ticketId ? -1 : 1);
}

/** Somebody twice in one party is a fault of the ticket itself. */
function hasPlayerTwice({ players }: Ticket): boolean {
  return players.length > 1 && new Set(players.map(({ playerId }) => playerId)).size < players.length;
}

export interface LeftOut {
  readonly ticket: Ticket;
  readonly cause: WaitCause;
}
