/**
 * Who plays with whom: one cycle over a pool of tickets. Pure and deterministic: equal tickets at the same time under the
 * same rules give the same matches, in whatever order they come.
 *
 * Running matches are filled first. Then every ticket, the oldest first, gathers those near its rating who accept it as
 * it accepts them, region by region, and takes those who go together. Every search is bounded, so that the time of a
 * cycle grows with the tickets and with nothing else.
 */
import { Pool, REACH, type Reach } from './pool.ts';
import { type Side, winProbabilityError } from './quality.ts';
import { Reasons } from './reasons.ts';
import { MATCH_PLAYERS_MAX, playersFull, type Rules, ratingWindowOf } from './rules.ts';
import { fillRoles, Packing, type RoleCounts, splitTeams, type TeamSeats, teamSeats } from './teams.ts';
import type { Backfill, Backfilled, Match, Ticket, WaitReason } from './ticket.ts';
import { ANY_REGION, type LeftOut, TicketTable } from './ticket-table.ts';

export interface MatchResult {
  /** In the order in which their oldest ticket came. */
  readonly matches: readonly Match[];
  readonly backfilled: readonly Backfilled[];
  /** By ticket id: why each of the others waits. */
  readonly reasons: ReadonlyMap<string, WaitReason>;
}

/**
 * @param tickets of the rules' mode, with ids of their own, in any order
 * @param nowMs ms since 1970
 */
export type Matcher = (
  tickets: readonly Ticket[],
  nowMs: number,
  rules: Rules,
  backfills?: readonly Backfill[],
) => MatchResult;

/**
 * As {@link Matcher}, a small step after the other (a ticket, a running match), so that whoever has other things to do can
 * do them between two. The answer is that of the pool as it was given. The next cycle begins when this one is over.
 */
export type SteppingMatcher = (...given: Parameters<Matcher>) => Generator<undefined, MatchResult, undefined>;

/** Tickets that one ticket looks at; past the deadline, and for a running match, more. */
const LOOKS_MAX = 512;
const LOOKS_OVERDUE_MAX = 8_192;
/** Candidates are gathered until they are so many times the players that are wanted. */
const CHOICE = 3;
const CHOICE_PLAYERS_MIN = 32;
/** Regions that one ticket tries, the best first. */
const REGIONS_TRIED_MAX = 4;
/** Per ticket: how often all roles of a group are dealt anew for one more party. */
const REDEALS_MAX = 4;

export const match: Matcher = (tickets, nowMs, rules, backfills) => createMatcher()(tickets, nowMs, rules, backfills);

/**
 * A matcher for one pool that answers what {@link match} answers, only faster: it remembers of the tickets of its last
 * cycle what does not change, by the identity of the objects, which must not be changed.
 */
export function createMatcher(): Matcher {
  const matcher = createSteppingMatcher();
  return (...given) => {
    const steps = matcher(...given);
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
    }
  };
}

/** As {@link createMatcher}, in steps. */
export function createSteppingMatcher(): SteppingMatcher {
  let known: TicketTable | undefined;
  return function* (tickets, nowMs, rules, backfills = []) {
    let table = known?.rules === rules ? known : new TicketTable(rules);
    // Until the cycle is over nothing is known: what breaks off leaves nothing half done behind.
    known = undefined;
    if (!(yield* table.update(tickets))) {
      table = new TicketTable(rules);
      if (!(yield* table.update(tickets))) throw new RangeError('a ticket came twice');
    }
    const result = yield* new Cycle(table, nowMs).run(backfills);
    known = table;
    return result;
  };
}

/** Whom a ticket found. */
interface Candidates {
  /** The first `count`, the nearest rating first. */
  readonly places: Int32Array;
  count: number;
  /** Other players in reach of the rating, those of them with a region in common, those of them who are blocked. */
  inWindow: number;
  inRegion: number;
  blocked: number;
}

/** Tickets that go together; the team of each where roles had to be looked at. Used again for other ones. */
class Group {
  readonly places = new Int32Array(MATCH_PLAYERS_MAX);
  count = 0;
  players = 0;
  teams: readonly number[] | undefined;
  /** Somebody was left out for want of a role. */
  lacksRoles = false;
}

/** Codes of a cycle's own reasons; 0: none. */
const CODES = ['RATING_WINDOW', 'LATENCY', 'BLOCKED', 'ROLES_SHORT', 'COMBINATION', 'FILLING'] as const;
type CycleCode = (typeof CODES)[number];

class Cycle {
  readonly #pool: Pool;
  readonly #rules: Rules;
  readonly #nowMs: number;
  readonly #leftOut: readonly LeftOut[];
  readonly #full: number;
  readonly #seats: TeamSeats;
  readonly #hasRoles: boolean;
  readonly #roleCounts: RoleCounts;
  readonly #packings = new Map<number, Packing>();
  readonly #matches: Match[] = [];
  /** By place, why it waits: the code's number in {@link CODES} from 1 on, and up to two numbers. */
  readonly #codes: Uint8Array;
  readonly #why: Int32Array;
  readonly #alsoWhy: Int32Array;

  /** Players that are enough to choose from. */
  readonly #choice: number;

  // Written over and over, as a cycle asks for them tens of thousands of times.
  readonly #found: Candidates;
  /** By role: players found who offer it. */
  readonly #offered: Int32Array;
  readonly #costs: Float64Array;
  readonly #sorted: Int32Array;
  readonly #bySize: Int32Array;
  readonly #groups = [new Group(), new Group(), new Group()] as const;
  readonly #sizes = new Uint8Array(MATCH_PLAYERS_MAX + 1);
  /** Regions that are tried, the best first; by bit, the candidates' players. */
  readonly #tried: number[] = [];
  readonly #playersIn: Int32Array;
  /** The reach that those are of; -1 while they are not of those found last. */
  #playersInReach: Reach | -1 = -1;
  /** Counts of roles of the group that is built, and by team. */
  readonly #counts: Int32Array;
  readonly #countsOfTeams: Int32Array;
  readonly #playersOfTeams: Int32Array;

  constructor(table: TicketTable, nowMs: number) {
    const { rules } = table;
    this.#rules = rules;
    this.#nowMs = nowMs;
    this.#pool = new Pool(table, nowMs);
    this.#leftOut = [...this.#pool.leftOut, ...table.duplicates];
    this.#full = playersFull(rules);
    this.#seats = teamSeats(rules.roles, rules.teamSize);
    this.#hasRoles = table.hasRoles;
    this.#roleCounts = table.roleCounts;
    const { count, regions } = this.#pool;
    this.#codes = new Uint8Array(count);
    this.#why = new Int32Array(count);
    this.#alsoWhy = new Int32Array(count);
    this.#choice = Math.max(CHOICE_PLAYERS_MIN, CHOICE * this.#full);
    this.#offered = new Int32Array(this.#roleCounts.slots.length);
    // As many places as players are wanted hold everybody.
    const foundMax =
      this.#choice + this.#roleCounts.slots.reduce((sum, slots) => sum + CHOICE * rules.teams * slots, 0);
    this.#found = { places: new Int32Array(foundMax), count: 0, inWindow: 0, inRegion: 0, blocked: 0 };
    this.#costs = new Float64Array(foundMax);
    this.#sorted = new Int32Array(foundMax);
    this.#bySize = new Int32Array(foundMax);
    this.#playersIn = new Int32Array(regions.length);
    this.#counts = new Int32Array(this.#roleCounts.sets);
    this.#countsOfTeams = new Int32Array(rules.teams * this.#roleCounts.sets);
    this.#playersOfTeams = new Int32Array(rules.teams);
  }

  *run(backfills: readonly Backfill[]): Generator<undefined, MatchResult, undefined> {
    const pool = this.#pool;
    const backfilled = yield* this.#backfill(backfills);
    for (const place of pool.byAge) {
      if (pool.isTaken[place] === 1) continue;
      this.#attempt(place);
      yield;
    }
    return { matches: this.#matches, backfilled, reasons: this.#reasons() };
  }

  /** Makes a match around a ticket, or notes why not. */
  #attempt(anchor: number): void {
    const isOverdue = this.#pool.isOverdue[anchor] === 1;
    const reach = isOverdue ? REACH.WIDEST : REACH.OWN;
    this.#gather(anchor, reach);
    let group = this.#matchOf(anchor, reach);
    if (group !== undefined && isOverdue && this.#rules.bots === null) {
      this.#gather(anchor, REACH.ANY);
      group = this.#matchOf(anchor, REACH.ANY);
    }
    if (group !== undefined) this.#note(anchor, group);
  }

  /** @returns undefined when a match was made, otherwise the largest group */
  #matchOf(anchor: number, reach: Reach): Group | undefined {
    const { teams, teamSize, playersMin, partialAfterSeconds, bots } = this.#rules;
    const waitedSeconds = this.#pool.waitedMs[anchor]! / 1_000;
    const isOverdue = this.#pool.isOverdue[anchor] === 1;
    const mayHaveBots =
      bots !== null && (isOverdue || (waitedSeconds >= bots.afterSeconds && bots.peopleMin <= playersMin));
    // Where not even the smallest match comes about, there is nothing to build.
    const atLeast = mayHaveBots ? 1 : playersMin - this.#pool.size[anchor]!;
    let largest: Group | undefined;
    // With roles and no bots a match is full or none.
    const isFull = this.#hasRoles && !mayHaveBots;
    if (isFull && !this.#mayFillRoles(anchor, this.#found.places, this.#found.count)) return this.#lacking(anchor);
    const tried = this.#tryRegions(anchor, reach, atLeast);
    for (let at = 0; at < tried; at++) {
      const count = this.#candidatesIn(this.#tried[at]!, anchor, reach);
      if (isFull && !this.#mayFillRoles(anchor, this.#sorted, count)) {
        largest ??= this.#lacking(anchor);
        continue;
      }
      const group = this.#build(anchor, count, teamSize, reach, largest);
      if (group.players === this.#full && this.#finish(group, teamSize, 0)) return undefined;
      if (largest === undefined || group.players > largest.players) largest = group;
    }
    largest ??= this.#build(anchor, 0, teamSize, reach);
    if (bots !== null) {
      const needed = isOverdue ? 1 : bots.peopleMin;
      if ((isOverdue || waitedSeconds >= bots.afterSeconds) && largest.players >= needed) {
        const fillTo = teams === 1 ? (bots.fillTo ?? this.#full) : this.#full;
        if (this.#finish(largest, teamSize, fillTo)) return undefined;
      }
    }
    if ((isOverdue || waitedSeconds >= partialAfterSeconds) && largest.players >= playersMin) {
      if (teams === 1) return this.#finish(largest, teamSize, 0) ? undefined : largest;
      for (
        let seats = Math.min(teamSize - 1, Math.floor(largest.players / teams));
        seats * teams >= playersMin;
        seats--
      ) {
        for (let at = 0; at < tried; at++) {
          const count = this.#candidatesIn(this.#tried[at]!, anchor, reach);
          const group = this.#build(anchor, count, seats, reach, largest);
          if (group.players === seats * teams && this.#finish(group, seats, 0)) return undefined;
        }
      }
    }
    return largest;
  }

  /** Finds the others within reach, the nearest rating first, until there is choice enough. */
  #gather(anchor: number, reach: Reach): void {
    const pool = this.#pool;
    const { rating, size, lower, higher, rank } = pool;
    const windows = pool.windows[reach];
    const accepted = pool.accepted[reach];
    const own = rating[anchor]!;
    const window = windows[anchor]!;
    const regions = accepted[anchor]!;
    const hasConflicts = pool.hasConflicts(anchor);
    const found = this.#found;
    const { places } = found;
    const choice = this.#choice;
    let [count, inWindow, inRegion, blocked] = [0, 0, 0, 0];
    let below = lower[anchor]!;
    let above = higher[anchor]!;
    let down = below === -1 ? Infinity : own - rating[below]!;
    let up = above === -1 ? Infinity : rating[above]! - own;
    let looks = pool.isOverdue[anchor] === 1 ? LOOKS_OVERDUE_MAX : LOOKS_MAX;
    while (inRegion - blocked < choice && looks-- > 0) {
      // Of two as near, the older: the same when the order of ratings is turned round.
      const isBelow = down < up || (down === up && below !== -1 && above !== -1 && rank[below]! < rank[above]!);
      const distance = isBelow ? down : up;
      if (distance > window || distance === Infinity) break;
      const other = isBelow ? below : above;
      if (isBelow) {
        below = lower[below]!;
        down = below === -1 ? Infinity : own - rating[below]!;
      } else {
        above = higher[above]!;
        up = above === -1 ? Infinity : rating[above]! - own;
      }
      if (distance > windows[other]!) continue;
      const players = size[other]!;
      inWindow += players;
      if ((regions & accepted[other]!) === 0) continue;
      inRegion += players;
      if (hasConflicts && pool.conflict(anchor, other)) blocked += players;
      else places[count++] = other;
    }
    found.count = count;
    found.inWindow = inWindow;
    found.inRegion = inRegion;
    found.blocked = blocked;
    this.#playersInReach = -1;
    if (this.#hasRoles) this.#gatherRoles(anchor, reach, below, above);
  }

  /** Adds, of each role that few of those found offer, the nearest who do. */
  #gatherRoles(anchor: number, reach: Reach, below: number, above: number): void {
    const pool = this.#pool;
    const { places, count } = this.#found;
    const { slots } = this.#roleCounts;
    const offered = this.#offered.fill(0);
    for (let i = 0; i < count; i++) {
      for (let role = 0; role < offered.length; role++) offered[role]! += pool.offering(places[i]!, role);
    }
    for (let role = 0; role < offered.length; role++) {
      const wanted = CHOICE * this.#rules.teams * slots[role]!;
      if (offered[role]! < wanted) this.#gatherOffering(role, wanted, anchor, reach, below, above);
    }
  }

  /** Goes on from where the search for others ended, from one to the next who offers a role. */
  #gatherOffering(role: number, wanted: number, anchor: number, reach: Reach, from: number, to: number): void {
    const pool = this.#pool;
    const { rating, size, rank } = pool;
    const windows = pool.windows[reach];
    const accepted = pool.accepted[reach];
    const found = this.#found;
    const { places } = found;
    const offered = this.#offered;
    const own = rating[anchor]!;
    const before = found.count;
    let below = pool.offeringBelow(role, from);
    let above = to === -1 ? -1 : pool.offeringAbove(role, to);
    for (let looks = LOOKS_MAX; looks > 0 && offered[role]! < wanted; looks--) {
      const down = below === -1 ? Infinity : own - rating[below]!;
      const up = above === -1 ? Infinity : rating[above]! - own;
      const isBelow = down < up || (down === up && below !== -1 && above !== -1 && rank[below]! < rank[above]!);
      const distance = isBelow ? down : up;
      if (distance > windows[anchor]! || distance === Infinity) break;
      const other = isBelow ? below : above;
      if (isBelow) below = pool.offeringBelow(role, below - 1);
      else above = pool.offeringAbove(role, above + 1);
      if (distance > windows[other]! || (accepted[anchor]! & accepted[other]!) === 0) continue;
      // Who offers two roles that few do is there already.
      if (places.subarray(before, found.count).includes(other)) continue;
      found.inWindow += size[other]!;
      found.inRegion += size[other]!;
      if (pool.conflict(anchor, other)) {
        found.blocked += size[other]!;
        continue;
      }
      places[found.count++] = other;
      for (let more = 0; more < offered.length; more++) offered[more]! += pool.offering(other, more);
    }
  }

  /** Whether the roles of an anchor and of candidates may be enough for a full match. */
  #mayFillRoles(anchor: number, places: Int32Array, count: number): boolean {
    const { slot, size, table } = this.#pool;
    const roles = this.#roleCounts;
    const counts = this.#counts.fill(0);
    roles.add(counts, 0, table.wishes, slot[anchor]! * roles.sets);
    for (let i = 0; i < count; i++) roles.add(counts, 0, table.wishes, slot[places[i]!]! * roles.sets);
    return roles.mayFill(counts, size[anchor]! + this.#playersOf(places, count), this.#rules.teams);
  }

  /** Sets which regions to try, the best for the anchor first; -1 stands for any. @returns how many */
  #tryRegions(anchor: number, reach: Reach, atLeast: number): number {
    const { regions, latencyMs, size } = this.#pool;
    const tried = this.#tried;
    tried.length = 0;
    if (regions.length === 0) return tried.push(-1);
    if (this.#playersOf(this.#found.places, this.#found.count) < atLeast) return 0;
    this.#countPlayers(reach);
    const players = this.#playersIn;
    const mask = this.#pool.accepted[reach][anchor]!;
    for (let bit = 0; bit < regions.length; bit++) {
      if (((mask >>> bit) & 1) === 1 && players[bit]! >= atLeast) tried.push(bit);
    }
    if (tried.length === 1) return 1;
    const enough = this.#rules.playersMin - size[anchor]!;
    const at = anchor * regions.length;
    // A region in which enough play before one in which too few do, and then the nearest.
    tried.sort(
      (a, b) =>
        Number(players[b]! >= enough) - Number(players[a]! >= enough) ||
        latencyMs[at + a]! - latencyMs[at + b]! ||
        players[b]! - players[a]! ||
        a - b,
    );
    return Math.min(tried.length, REGIONS_TRIED_MAX);
  }

  /** By region: players of those found who accept it. */
  #countPlayers(reach: Reach): void {
    if (this.#playersInReach === reach) return;
    this.#playersInReach = reach;
    const { size } = this.#pool;
    const accepted = this.#pool.accepted[reach];
    const { places, count } = this.#found;
    const players = this.#playersIn.fill(0);
    for (let i = 0; i < count; i++) {
      const mask = accepted[places[i]!]!;
      for (let bit = 0; bit < players.length; bit++) if ((mask >>> bit) & 1) players[bit]! += size[places[i]!]!;
    }
  }

  /**
   * Sets the candidates of a region, the cheapest first, of equal ones the oldest. Sorts by insertion: few, and near their
   * order already.
   * @returns how many
   */
  #candidatesIn(region: number, anchor: number, reach: Reach): number {
    const { rating, rank, waitedMs, latencyMs, regions } = this.#pool;
    const accepted = this.#pool.accepted[reach];
    const { weights } = this.#rules;
    const { places, count } = this.#found;
    const costs = this.#costs;
    const sorted = this.#sorted;
    let candidates = 0;
    for (let i = 0; i < count; i++) {
      const place = places[i]!;
      if (region !== -1 && ((accepted[place]! >>> region) & 1) === 0) continue;
      const ms = region === -1 ? 0 : latencyMs[place * regions.length + region]!;
      const cost =
        weights.rating * Math.abs(rating[place]! - rating[anchor]!) -
        (weights.wait * waitedMs[place]!) / 1_000 +
        (weights.latency * ms) / 10;
      let at = candidates++;
      while (at > 0) {
        const before = costs[at - 1]!;
        if (before < cost || (before === cost && rank[sorted[at - 1]!]! < rank[place]!)) break;
        sorted[at] = sorted[at - 1]!;
        costs[at] = before;
        at--;
      }
      sorted[at] = place;
      costs[at] = cost;
    }
    return candidates;
  }

  /**
   * Takes of the sorted candidates one after the other who goes with all before; in a second try the large parties first,
   * which fit worse.
   * @param keep a group that is still wanted
   */
  #build(anchor: number, count: number, seats: number, reach: Reach, keep?: Group): Group {
    const [first, second, third] = this.#groups;
    const group = this.#take(keep === first ? second : first, anchor, this.#sorted, count, seats, reach);
    const { teams } = this.#rules;
    const { size } = this.#pool;
    const wanted = teams * seats;
    if (teams === 1 || group.players === wanted) return group;
    let players = size[anchor]!;
    let largest = 1;
    for (let i = 0; i < count; i++) {
      const of = size[this.#sorted[i]!]!;
      players += of;
      if (of > largest) largest = of;
    }
    if (players < wanted || (largest === 1 && size[anchor] === 1)) return group;
    let ordered = 0;
    for (let wantedSize = largest; wantedSize > 0; wantedSize--) {
      for (let i = 0; i < count; i++) {
        if (size[this.#sorted[i]!] === wantedSize) this.#bySize[ordered++] = this.#sorted[i]!;
      }
    }
    const spare = keep === third || group === third ? second : third;
    const other = this.#take(spare === group ? first : spare, anchor, this.#bySize, count, seats, reach);
    return other.players > group.players ? other : group;
  }

  #take(group: Group, anchor: number, candidates: Int32Array, count: number, seats: number, reach: Reach): Group {
    const pool = this.#pool;
    const { rating, size } = pool;
    const windows = pool.windows[reach];
    const accepted = pool.accepted[reach];
    const { teams } = this.#rules;
    const wanted = teams * seats;
    const { places } = group;
    const sizes = this.#sizes;
    let players = size[anchor]!;
    places[0] = anchor;
    group.count = 1;
    group.players = players;
    group.teams = undefined;
    group.lacksRoles = false;
    if (seats < players) return group;
    sizes[0] = players;
    let isMixed = players > 1;
    let regions = accepted[anchor]!;
    let [low, high] = [rating[anchor]!, rating[anchor]!];
    let floor = low - windows[anchor]!;
    let ceiling = high + windows[anchor]!;
    let redeals = REDEALS_MAX;
    if (this.#hasRoles && count > 0) this.#dealt(group, [0]);
    for (let i = 0; i < count && players < wanted; i++) {
      const place = candidates[i]!;
      const of = size[place]!;
      const own = rating[place]!;
      const window = windows[place]!;
      if (players + of > wanted || of > seats || own < floor || own > ceiling) continue;
      if (own - low > window || high - own > window || (regions & accepted[place]!) === 0) continue;
      if (pool.hasConflicts(place) && this.#conflictsWith(group, place)) continue;
      sizes[group.count] = of;
      if (teams > 1 && (isMixed || of > 1) && !this.#packing(seats).fits(sizes, group.count + 1)) continue;
      if (this.#hasRoles && !this.#deal(group, place, seats, redeals > 0)) {
        // Whom no deal at all could seat has cost none.
        if (this.#holdAll(place)) redeals--;
        group.lacksRoles = true;
        continue;
      }
      places[group.count++] = place;
      players += of;
      isMixed ||= of > 1;
      regions &= accepted[place]!;
      if (own < low) low = own;
      if (own > high) high = own;
      floor = Math.max(floor, own - window);
      ceiling = Math.min(ceiling, own + window);
    }
    group.players = players;
    return group;
  }

  /** The ticket alone, for want of a role. */
  #lacking(anchor: number): Group {
    const [group] = this.#groups;
    group.places[0] = anchor;
    group.count = 1;
    group.players = this.#pool.size[anchor]!;
    group.teams = undefined;
    group.lacksRoles = true;
    return group;
  }

  #conflictsWith({ places, count }: Group, place: number): boolean {
    for (let i = 0; i < count; i++) if (this.#pool.conflict(place, places[i]!)) return true;
    return false;
  }

  /** Puts one more party into a team such that all roles can be filled: beside the others, or all dealt anew. */
  #deal(group: Group, place: number, seats: number, mayRedeal: boolean): boolean {
    if (!this.#holdAll(place)) return false;
    const { wishes } = this.#pool.table;
    const at = this.#pool.slot[place]! * this.#roleCounts.sets;
    const of = this.#pool.size[place]!;
    for (let t = 0; t < this.#rules.teams; t++) {
      const atTeam = t * this.#roleCounts.sets;
      if (this.#playersOfTeams[t]! + of > seats) continue;
      if (!this.#roleCounts.hold(this.#countsOfTeams, atTeam, wishes, at, 1)) continue;
      this.#roleCounts.add(this.#countsOfTeams, atTeam, wishes, at);
      this.#roleCounts.add(this.#counts, 0, wishes, at);
      this.#playersOfTeams[t]! += of;
      group.teams = [...group.teams!, t];
      return true;
    }
    if (!mayRedeal) return false;
    const teams = this.#split([...group.places.subarray(0, group.count), place], seats);
    if (teams === undefined) return false;
    this.#dealt(group, teams, place);
    return true;
  }

  /** Whether one more party could be seated if teams did not matter. */
  #holdAll(place: number): boolean {
    const at = this.#pool.slot[place]! * this.#roleCounts.sets;
    return this.#roleCounts.hold(this.#counts, 0, this.#pool.table.wishes, at, this.#rules.teams);
  }

  /** Counts the roles of a group, and maybe of one more, anew. */
  #dealt(group: Group, teams: readonly number[], more?: number): void {
    const { slot, size, table } = this.#pool;
    const { sets } = this.#roleCounts;
    group.teams = teams;
    this.#counts.fill(0);
    this.#countsOfTeams.fill(0);
    this.#playersOfTeams.fill(0);
    for (let i = 0; i < teams.length; i++) {
      const place = i < group.count ? group.places[i]! : more!;
      const at = slot[place]! * sets;
      this.#roleCounts.add(this.#counts, 0, table.wishes, at);
      this.#roleCounts.add(this.#countsOfTeams, teams[i]! * sets, table.wishes, at);
      this.#playersOfTeams[teams[i]!]! += size[place]!;
    }
  }

  #playersOf(places: Int32Array, count: number): number {
    let players = 0;
    for (let i = 0; i < count; i++) players += this.#pool.size[places[i]!]!;
    return players;
  }

  #packing(seats: number): Packing {
    let packing = this.#packings.get(seats);
    if (packing === undefined) {
      packing = new Packing(this.#rules.teams, seats);
      this.#packings.set(seats, packing);
    }
    return packing;
  }

  #split(places: readonly number[], seats: number): number[] | undefined {
    const { teams, searchSteps } = this.#rules;
    const { slot, size, table } = this.#pool;
    const counts = this.#roleCounts;
    return splitTeams({
      sizes: places.map((place) => size[place]!),
      strengths: places.map((place) => table.strength[slot[place]!]!),
      teams,
      seats,
      steps: searchSteps,
      ...(this.#hasRoles
        ? { roles: { counts, wishes: table.wishes, at: places.map((place) => slot[place]! * counts.sets) } }
        : {}),
    });
  }

  /**
   * Makes a group a match.
   * @param fillTo players with bots; teams get as many as they lack
   * @returns false if its parties make no teams after all
   */
  #finish(group: Group, seats: number, fillTo: number): boolean {
    const { mode, teams: teamCount, bots } = this.#rules;
    const pool = this.#pool;
    // By age, whatever the order in which they were found: the same group gives the same match.
    const order = Array.from({ length: group.count }, (_, i) => i);
    order.sort((a, b) => pool.rank[group.places[a]!]! - pool.rank[group.places[b]!]!);
    const places = order.map((i) => group.places[i]!);
    const teamOf = this.#split(places, seats) ?? (group.teams && order.map((i) => group.teams![i]!));
    if (teamOf === undefined) return false;
    const roles: Record<string, string> = {};
    const teams: Ticket[][] = Array.from({ length: teamCount }, () => []);
    for (let i = 0; i < places.length; i++) teams[teamOf[i]!]!.push(pool.tickets[places[i]!]!);
    const botsOf = new Array<number>(teamCount).fill(0);
    const sides: Side[] = [];
    for (let t = 0; t < teamCount; t++) {
      if (this.#hasRoles) {
        const filled = fillRoles(
          teams[t]!.flatMap(({ players }) => players),
          this.#seats,
        );
        for (const [playerId, role] of filled ?? []) roles[playerId] = role;
      }
      let players = 0;
      for (const ticket of teams[t]!) players += ticket.players.length;
      if (fillTo > 0 && bots !== null) botsOf[t] = Math.max(0, (teamCount === 1 ? fillTo : seats) - players);
      this.#addSides(sides, teams[t]!, botsOf[t]!);
    }
    let [low, high, waitMsMax, isOverdue] = [Infinity, -Infinity, 0, false];
    for (const place of places) {
      low = Math.min(low, pool.rating[place]!);
      high = Math.max(high, pool.rating[place]!);
      waitMsMax = Math.max(waitMsMax, pool.waitedMs[place]!);
      isOverdue ||= pool.isOverdue[place] === 1;
      pool.take(place);
    }
    const { region, latencyMsMax } = this.#regionOf(places, isOverdue);
    const quality = {
      ratingGap: high - low,
      winProbabilityError: winProbabilityError(sides),
      latencyMsMax,
      waitMsMax,
      isOverdue,
    };
    this.#matches.push({ mode, region, teams, bots: botsOf, roles, quality });
    return true;
  }

  /** Everybody a side of its own, where a bot's chance is nobody's concern; or the team, with its bots. */
  #addSides(sides: Side[], team: readonly Ticket[], botCount: number): void {
    const { teams, bots } = this.#rules;
    let [sumMu, sumSigmaSquared] = [0, 0];
    for (const { players } of team) {
      for (const { mu, sigma } of players) {
        if (teams === 1) sides.push({ mu, sigmaSquared: sigma * sigma });
        sumMu += mu;
        sumSigmaSquared += sigma * sigma;
      }
    }
    if (teams === 1) return;
    for (let i = 0; i < botCount; i++) {
      sumMu += bots!.mu;
      sumSigmaSquared += bots!.sigma ** 2;
    }
    sides.push({ mu: sumMu, sigmaSquared: sumSigmaSquared });
  }

  /** The region in common whose worst latency is least, and then the sum of all. */
  #regionOf(places: readonly number[], isOverdue: boolean): { region: string | null; latencyMsMax: number | null } {
    const { regions, latencyMs, accepted } = this.#pool;
    // The narrowest reach that leaves a region is the one the group was found with.
    for (const masks of isOverdue ? accepted : [accepted[REACH.OWN]]) {
      let common = ANY_REGION;
      let hasMeasured = false;
      for (const place of places) {
        common &= masks[place]!;
        hasMeasured ||= masks[place] !== ANY_REGION;
      }
      if (!hasMeasured) return { region: null, latencyMsMax: null };
      let best = { bit: -1, max: Infinity, sum: Infinity };
      for (let bit = 0; bit < regions.length; bit++) {
        if (((common >>> bit) & 1) === 0) continue;
        let [max, sum] = [0, 0];
        for (const place of places) {
          const ms = latencyMs[place * regions.length + bit]!;
          max = Math.max(max, ms);
          sum += ms;
        }
        if (max < best.max || (max === best.max && sum < best.sum)) best = { bit, max, sum };
      }
      if (best.bit !== -1) return { region: regions[best.bit]!, latencyMsMax: best.max };
    }
    throw new Error('a match without a region in common');
  }

  /** Notes why a ticket waits. */
  #note(anchor: number, group: Group): void {
    const { playersMin, partialAfterSeconds } = this.#rules;
    const { size, waitedMs } = this.#pool;
    const { inWindow, inRegion, blocked } = this.#found;
    const needed = playersMin - size[anchor]!;
    const there = Math.min(inRegion, this.#mostInOneRegion(anchor) + blocked);
    if (inWindow < needed) {
      this.#noteCode(anchor, 'RATING_WINDOW', inWindow);
    } else if (there < needed) {
      this.#noteCode(anchor, 'LATENCY', there);
    } else if (inRegion - blocked < needed) {
      this.#noteCode(anchor, 'BLOCKED', inRegion, blocked);
    } else if (group.players < playersMin) {
      this.#noteCode(anchor, group.lacksRoles ? 'ROLES_SHORT' : 'COMBINATION', inRegion - blocked);
    } else if (partialAfterSeconds * 1_000 - waitedMs[anchor]! <= 0) {
      this.#noteCode(anchor, 'COMBINATION', inRegion - blocked);
    } else {
      this.#noteCode(anchor, 'FILLING', group.players);
    }
  }

  #noteCode(place: number, code: CycleCode, why: number, alsoWhy = 0): void {
    this.#codes[place] = CODES.indexOf(code) + 1;
    this.#why[place] = why;
    this.#alsoWhy[place] = alsoWhy;
  }

  /** Players of those found, in the region that most of them accept as the anchor does. */
  #mostInOneRegion(anchor: number): number {
    const { regions } = this.#pool;
    if (regions.length === 0) return this.#playersOf(this.#found.places, this.#found.count);
    this.#countPlayers(REACH.OWN);
    const mask = this.#pool.accepted[REACH.OWN][anchor]!;
    let most = 0;
    for (let bit = 0; bit < regions.length; bit++) {
      if ((mask >>> bit) & 1) most = Math.max(most, this.#playersIn[bit]!);
    }
    return most;
  }

  /** The worst latency that the ticket accepts by now, ms. */
  #withinMs(place: number): number {
    const { regions, latencyMs } = this.#pool;
    const { latencyWindowMs } = this.#rules;
    const grown = latencyWindowMs.start + (latencyWindowMs.growthPerSecond * this.#pool.waitedMs[place]!) / 1_000;
    let within = Math.min(latencyWindowMs.max, grown);
    for (let bit = 0; bit < regions.length; bit++) {
      if ((this.#pool.accepted[REACH.OWN][place]! >>> bit) & 1) {
        within = Math.max(within, latencyMs[place * regions.length + bit]!);
      }
    }
    return within;
  }

  #reasons(): Reasons {
    const pool = this.#pool;
    const { playersMin, bots, deadlineSeconds } = this.#rules;
    const promisedMs = bots === null ? null : 1_000 * (bots.peopleMin === 1 ? bots.afterSeconds : deadlineSeconds);
    const leftOut = this.#leftOut;
    const { players, byAge } = pool;
    const tickets = leftOut.map(({ ticket }) => ticket);
    // Who was passed over as a first one may have gone along with a later one.
    const waiting = byAge.filter((place) => pool.isTaken[place] === 0);
    for (const place of waiting) tickets.push(pool.tickets[place]!);
    return new Reasons(tickets, (index) => {
      if (index < leftOut.length) {
        const { ticket, cause } = leftOut[index]!;
        return { waitedMs: Math.max(0, this.#nowMs - ticket.createdAtMs), placedInMs: null, ...cause };
      }
      const place = waiting[index - leftOut.length]!;
      const waitedMs = pool.waitedMs[place]!;
      const placedInMs = promisedMs === null ? null : Math.max(0, promisedMs - waitedMs);
      if (players < playersMin) return { waitedMs, placedInMs, code: 'TOO_FEW', players, playersMin };
      return this.#reasonOf(place, waitedMs, placedInMs);
    });
  }

  #reasonOf(place: number, waitedMs: number, placedInMs: number | null): WaitReason {
    const { playersMin, partialAfterSeconds } = this.#rules;
    const code = CODES[this.#codes[place]! - 1]!;
    const candidates = this.#why[place]!;
    switch (code) {
      case 'RATING_WINDOW': {
        const rating = this.#pool.rating[place]!;
        const window = this.#pool.windows[REACH.OWN][place]!;
        const [withinMin, withinMax] = [rating - window, rating + window];
        return { waitedMs, placedInMs, code, withinMin, withinMax, candidates, playersMin };
      }
      case 'LATENCY':
        return { waitedMs, placedInMs, code, withinMs: this.#withinMs(place), candidates, playersMin };
      case 'BLOCKED':
        return { waitedMs, placedInMs, code, candidates, blocked: this.#alsoWhy[place]!, playersMin };
      case 'ROLES_SHORT':
      case 'COMBINATION':
        return { waitedMs, placedInMs, code, candidates };
      case 'FILLING': {
        const startsInMs = partialAfterSeconds * 1_000 - waitedMs;
        return { waitedMs, placedInMs, code, players: candidates, playersWanted: this.#full, startsInMs };
      }
    }
  }

  /** Tickets for the free seats of running matches: the oldest that fit, to the weaker side. */
  *#backfill(backfills: readonly Backfill[]): Generator<undefined, Backfilled[], undefined> {
    const inOrder = [...backfills].sort((a, b) => a.createdAtMs - b.createdAtMs || (a.matchId < b.matchId ? -1 : 1));
    const done: Backfilled[] = [];
    for (const running of inOrder) {
      yield;
      const teams = this.#fillSeats(running);
      if (teams === undefined) continue;
      const roles: Record<string, string> = {};
      for (const [t, tickets] of teams.entries()) {
        const seats = this.#seatsLeft(running, t);
        const filled = fillRoles(
          tickets.flatMap(({ players }) => players),
          seats,
        );
        Object.assign(roles, Object.fromEntries(filled ?? []));
      }
      done.push({ matchId: running.matchId, teams, roles });
    }
    return done;
  }

  #fillSeats(running: Backfill): Ticket[][] | undefined {
    const pool = this.#pool;
    const { freeSeats, players } = running;
    const free = [...freeSeats];
    const sums = free.map(() => 0);
    for (const { team, mu } of players) if (team < sums.length) sums[team]! += mu;
    const teams: Ticket[][] = free.map(() => []);
    const taken: number[] = [];
    for (const place of this.#acceptableFor(running)) {
      const ticket = pool.tickets[place]!;
      const size = pool.size[place]!;
      if (pool.hasConflicts(place) && taken.some((other) => pool.conflict(place, other))) continue;
      let weakest = -1;
      for (let t = 0; t < free.length; t++) {
        if (free[t]! < size || (weakest !== -1 && sums[t]! >= sums[weakest]!)) continue;
        const members = [...teams[t]!, ticket].flatMap((one) => one.players);
        if (fillRoles(members, this.#seatsLeft(running, t)) !== undefined) weakest = t;
      }
      if (weakest === -1) continue;
      teams[weakest]!.push(ticket);
      free[weakest]! -= size;
      for (const { mu } of ticket.players) sums[weakest]! += mu;
      taken.push(place);
      pool.take(place);
      if (free.every((seats) => seats === 0)) break;
    }
    return taken.length > 0 ? teams : undefined;
  }

  /** Who would come into a running match and whom it would take, the oldest first. */
  #acceptableFor({ region, players, createdAtMs, freeSeats }: Backfill): number[] {
    const pool = this.#pool;
    const most = Math.max(...freeSeats);
    if (most === 0) return [];
    const isEmpty = players.length === 0;
    const mean = players.reduce((sum, { mu }) => sum + mu, 0) / players.length;
    const window = ratingWindowOf(this.#rules, this.#nowMs - createdAtMs);
    const bit = region === null ? -1 : pool.regions.indexOf(region);
    const there = new Set(players.map(({ playerId }) => playerId));
    const unwanted = new Set(players.flatMap(({ blocked }) => blocked));
    const places: number[] = [];
    let below = isEmpty ? -1 : pool.atMost(mean);
    let above = below === -1 ? pool.lowest() : pool.higher[below]!;
    for (let looks = 0; looks < LOOKS_OVERDUE_MAX && (below !== -1 || above !== -1); looks++) {
      const down = below === -1 ? Infinity : mean - pool.rating[below]!;
      const up = above === -1 ? Infinity : isEmpty ? 0 : pool.rating[above]! - mean;
      const distance = Math.min(down, up);
      const isBelow =
        down < up || (down === up && below !== -1 && (above === -1 || pool.rank[below]! < pool.rank[above]!));
      const place = isBelow ? below : above;
      if (isBelow) below = pool.lower[below]!;
      else above = pool.higher[above]!;
      if (distance > window) {
        // Past the deadline a ticket goes anywhere; the match has no deadline.
        if (pool.isOverdue[place] === 0 && distance > this.#rules.ratingWindow.max) break;
        if (pool.isOverdue[place] === 0) continue;
      }
      const ticket = pool.tickets[place]!;
      if (!ticket.acceptsBackfill || pool.size[place]! > most || distance > pool.windows[REACH.OWN][place]!) continue;
      const regions = pool.accepted[REACH.OWN][place]!;
      if (region !== null && regions !== ANY_REGION && (bit === -1 || ((regions >>> bit) & 1) === 0)) continue;
      if (ticket.blocked.some((id) => there.has(id))) continue;
      if (ticket.players.some(({ playerId }) => there.has(playerId) || unwanted.has(playerId))) continue;
      places.push(place);
    }
    return places.sort((a, b) => pool.rank[a]! - pool.rank[b]!);
  }

  /** Slots and seats of a team that nobody of a running match has. */
  #seatsLeft({ players, freeSeats }: Backfill, team: number): TeamSeats {
    const roles = [...this.#seats.roles];
    for (const player of players) {
      const at = player.team === team && player.role !== undefined ? roles.indexOf(player.role) : -1;
      if (at !== -1) roles.splice(at, 1);
    }
    const seats = freeSeats[team]!;
    return { roles: roles.slice(0, seats), open: Math.max(0, seats - roles.length) };
  }
}
