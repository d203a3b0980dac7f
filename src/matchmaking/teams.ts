/** Parties into teams: whether they fit, who fills which role, and the split whose sides come closest. */
import type { TicketPlayer } from './ticket.ts';

/** Seats of one team: some ask for a role, the others take anybody. */
export interface TeamSeats {
  /** One entry a slot. */
  readonly roles: readonly string[];
  readonly open: number;
}

/** The seats of a team that has so many, of which the roles ask for some. */
export function teamSeats(roles: Readonly<Record<string, number>>, seats: number): TeamSeats {
  const slots = Object.keys(roles)
    .sort()
    .flatMap((role) => new Array<string>(roles[role]!).fill(role));
  return { roles: slots, open: seats - slots.length };
}

/**
 * Who fills which role slot, such that everybody has a seat: by player id; undefined where there is none for somebody.
 * As many slots as can be are filled, so a full team meets its quotas.
 */
export function fillRoles(
  players: readonly Pick<TicketPlayer, 'playerId' | 'roles'>[],
  { roles, open }: TeamSeats,
): Map<string, string> | undefined {
  if (players.length > roles.length + open) return undefined;
  const holder = new Int32Array(roles.length).fill(-1);
  let seated = 0;
  // Augmenting paths: small numbers, and the first wish of a player is tried first.
  const place = (p: number, tried: Uint8Array): boolean => {
    const wishes = players[p]!.roles;
    for (const wish of wishes ?? ['']) {
      for (let slot = 0; slot < roles.length; slot++) {
        if (tried[slot] === 1 || (wishes !== undefined && roles[slot] !== wish)) continue;
        tried[slot] = 1;
        if (holder[slot] === -1 || place(holder[slot]!, tried)) {
          holder[slot] = p;
          return true;
        }
      }
    }
    return false;
  };
  // Who said what to play goes first: whoever plays anything fills what is left.
  for (const saysRoles of [true, false]) {
    for (let p = 0; p < players.length; p++) {
      if ((players[p]!.roles !== undefined) === saysRoles && place(p, new Uint8Array(roles.length))) seated++;
    }
  }
  if (players.length - seated > open) return undefined;
  const filled = new Map<string, string>();
  for (const [slot, p] of holder.entries()) if (p !== -1) filled.set(players[p]!.playerId, roles[slot]!);
  return filled;
}

/**
 * Whether players find seats, by counting (Hall's theorem): for every set of roles, those who play nothing outside of it
 * are at most as many as its slots and the open seats. Counts of parties add up, which makes the question cheap enough to
 * ask of every candidate; {@link fillRoles} then says who plays what.
 */
export class RoleCounts {
  /** By set of roles, as bits: seats for players who play nothing outside of it. */
  readonly seats: Int32Array;
  /** How many sets of roles there are. */
  readonly sets: number;
  /** Of each role: slots that ask for it. The role stands for its bit in a set. */
  readonly slots: readonly number[];
  readonly #roles: readonly string[];

  constructor({ roles, open }: TeamSeats) {
    this.#roles = [...new Set(roles)];
    this.sets = 2 ** this.#roles.length;
    this.slots = this.#roles.map((role) => roles.filter((one) => one === role).length);
    this.seats = new Int32Array(this.sets);
    for (let set = 0; set < this.sets; set++) {
      this.seats[set] = open + roles.filter((role) => (set >>> this.#roles.indexOf(role)) & 1).length;
    }
  }

  /** By set of roles: players who play nothing outside of it. */
  of(players: readonly Pick<TicketPlayer, 'roles'>[]): Int32Array {
    const counts = new Int32Array(this.seats.length);
    for (const { roles } of players) {
      let wishes = roles === undefined ? this.seats.length - 1 : 0;
      for (const role of roles ?? []) {
        const bit = this.#roles.indexOf(role);
        if (bit !== -1) wishes |= 1 << bit;
      }
      for (let set = 0; set < counts.length; set++) if ((wishes & ~set) === 0) counts[set]!++;
    }
    return counts;
  }

  /**
   * Whether all who are counted, and a party more, are seated in so many teams taken together.
   * @param at where the counts begin
   * @param more counts of parties, of which that at `moreAt` is meant
   */
  hold(counts: Int32Array, at: number, more: Int32Array, moreAt: number, teams: number): boolean {
    for (let set = 0; set < this.sets; set++) {
      if (counts[at + set]! + more[moreAt + set]! > teams * this.seats[set]!) return false;
    }
    return true;
  }

  /** Of a party of that size: players who offer a role. */
  offering(role: number, size: number, counts: Int32Array, at: number): number {
    return size - counts[at + (this.sets - 1 - 2 ** role)]!;
  }

  /**
   * Whether so many players may hold enough for every set of roles that teams are full with: if not, no choice among them
   * fills the teams.
   * @param counts of all of them
   */
  mayFill(counts: Int32Array, players: number, teams: number): boolean {
    const full = teams * this.seats[this.sets - 1]!;
    for (let set = 0; set < this.sets; set++) {
      if (players - counts[set]! < full - teams * this.seats[set]!) return false;
    }
    return true;
  }

  /** Adds a party so many times, in place. */
  add(counts: Int32Array, at: number, more: Int32Array, moreAt: number, times = 1): void {
    for (let set = 0; set < this.sets; set++) counts[at + set]! += times * more[moreAt + set]!;
  }
}

/** Whether parties of these sizes fit into teams. Remembers answers: a cycle asks the same few over and over. */
export class Packing {
  readonly #teams: number;
  readonly #seats: number;
  readonly #known = new Map<number | string, boolean>();
  /** By size: what a party adds to the number that stands for a set of sizes; empty where such numbers get too large. */
  readonly #weights: number[] = [];

  constructor(teams: number, seats: number) {
    this.#teams = teams;
    this.#seats = seats;
    const base = teams * seats + 1;
    if (base ** seats > Number.MAX_SAFE_INTEGER) return;
    for (let size = 0; size <= seats; size++) this.#weights.push(size === 0 ? 0 : base ** (size - 1));
  }

  /** @param sizes the first `count` in any order, each at most a team's seats, all together at most those of all teams */
  fits(sizes: Uint8Array, count: number): boolean {
    const key = this.#keyOf(sizes, count);
    let known = this.#known.get(key);
    if (known === undefined) {
      const sorted = [...sizes.subarray(0, count)].sort((a, b) => b - a);
      known = pack(sorted, this.#teams, this.#seats) !== undefined;
      this.#known.set(key, known);
    }
    return known;
  }

  #keyOf(sizes: Uint8Array, count: number): number | string {
    if (this.#weights.length === 0) return sizes.slice(0, count).sort().join();
    let key = 0;
    for (let i = 0; i < count; i++) key += this.#weights[sizes[i]!]!;
    return key;
  }
}

/** Steps after which a packing is given up; what ratings and friends bring never gets near. */
const PACK_STEPS_MAX = 10_000;

/** Team of each party, sizes descending; undefined if there is no way (or none is found within the steps). */
function pack(sizes: readonly number[], teams: number, seats: number): number[] | undefined {
  const free = new Array<number>(teams).fill(seats);
  const team = new Array<number>(sizes.length).fill(-1);
  let steps = 0;
  const place = (p: number): boolean => {
    if (p === sizes.length) return true;
    if (++steps > PACK_STEPS_MAX) return false;
    for (let t = 0; t < teams; t++) {
      // Teams with as many free seats are alike: the first of them stands for all.
      if (free[t]! < sizes[p]! || free.indexOf(free[t]!) < t) continue;
      free[t]! -= sizes[p]!;
      team[p] = t;
      if (place(p + 1)) return true;
      free[t]! += sizes[p]!;
    }
    return false;
  };
  return place(0) ? team : undefined;
}

export interface SplitTask {
  /** Of each party. */
  readonly sizes: readonly number[];
  /** Of each party: the sum over its players of what one counts for more than a bot. */
  readonly strengths: readonly number[];
  readonly teams: number;
  /** Of each team. */
  readonly seats: number;
  /** Bound of the search. */
  readonly steps: number;
  /** What parties and teams are held to besides sizes. */
  readonly roles?: RoleTask;
}

export interface RoleTask {
  readonly counts: RoleCounts;
  /** Counts of parties. */
  readonly wishes: Int32Array;
  /** Of each party: where its counts begin in `wishes`. */
  readonly at: readonly number[];
}

/** Whether these parties make a team in which everybody has a seat. */
function areSeated({ counts, wishes, at }: RoleTask, parties: readonly number[]): boolean {
  for (let set = 0; set < counts.sets; set++) {
    let players = 0;
    for (const p of parties) players += wishes[at[p]! + set]!;
    if (players > counts.seats[set]!) return false;
  }
  return true;
}

/** Up to so many parties in two teams every split is looked at: 512. */
const EXACT_PARTIES_MAX = 10;

/**
 * The team of each party such that the sides are as equal as the search finds: every split of two small teams, otherwise
 * the better of a few beginnings, improved by exchanges until none helps or the steps are used up. What bots fill counts
 * nothing, as strengths are above a bot's. Never worse than filling teams in the order given.
 * @returns undefined if no split is found
 */
export function splitTeams(task: SplitTask): number[] | undefined {
  if (task.teams === 1)
    return packed(
      task,
      task.sizes.map(() => 0),
    );
  if (task.teams === 2 && task.sizes.length <= EXACT_PARTIES_MAX) return splitExactly(task);
  let best: number[] | undefined;
  let least = Infinity;
  for (const start of beginnings(task)) {
    const spread = spreadOf(task, start);
    if (spread < least) [best, least] = [start, spread];
  }
  return best === undefined ? undefined : exchange(task, best);
}

/** How unequal the sides are: the sum of squared distances from their mean. */
export function spreadOf(
  { strengths, teams }: Pick<SplitTask, 'strengths' | 'teams'>,
  team: readonly number[],
): number {
  const sums = new Array<number>(teams).fill(0);
  for (const [p, t] of team.entries()) sums[t]! += strengths[p]!;
  const mean = sums.reduce((total, sum) => total + sum, 0) / teams;
  return sums.reduce((total, sum) => total + (sum - mean) ** 2, 0);
}

/** What rounding may add up to: a branch is left only if it is worse by more. */
const ROUNDING = 1e-6;

function splitExactly(task: SplitTask): number[] | undefined {
  const { sizes, strengths, seats, roles } = task;
  const n = sizes.length;
  const isSecond = new Uint8Array(n);
  let best: number[] | undefined;
  let least = Infinity;
  /** From a party on: by how much the rest can bring the sides together. */
  const rest = new Float64Array(n + 1);
  for (let p = n - 1; p >= 0; p--) rest[p] = rest[p + 1]! + Math.abs(strengths[p]!);
  const sets = roles?.counts.sets ?? 0;
  const seated = new Int32Array(2 * sets);
  /** Whether a party finds its roles in a side; counts only grow, so who finds none now finds none later. */
  const isSeated = (p: number, side: number): boolean =>
    roles === undefined || roles.counts.hold(seated, side * sets, roles.wishes, roles.at[p]!, 1);
  const seat = (p: number, side: number, times: number): void =>
    roles?.counts.add(seated, side * sets, roles.wishes, roles.at[p]!, times);
  const place = (p: number, seatsA: number, seatsB: number, ahead: number): void => {
    if (Math.abs(ahead) - rest[p]! - ROUNDING > least) return;
    if (p === n) {
      const distance = Math.abs(ahead);
      if (distance >= least) return;
      [best, least] = [Array.from(isSecond), distance];
      return;
    }
    if (sizes[p]! <= seatsA && isSeated(p, 0)) {
      isSecond[p] = 0;
      seat(p, 0, 1);
      place(p + 1, seatsA - sizes[p]!, seatsB, ahead + strengths[p]!);
      seat(p, 0, -1);
    }
    // The two teams are alike, so the first party may always be in the first.
    if (p > 0 && sizes[p]! <= seatsB && isSeated(p, 1)) {
      isSecond[p] = 1;
      seat(p, 1, 1);
      place(p + 1, seatsA, seatsB - sizes[p]!, ahead - strengths[p]!);
      seat(p, 1, -1);
    }
  };
  place(0, seats, seats, 0);
  return best;
}

/** The split itself if it holds, or undefined. */
function packed(task: SplitTask, team: number[]): number[] | undefined {
  const { sizes, teams, seats, roles } = task;
  for (let t = 0; t < teams; t++) {
    const parties = partiesOf(team, t);
    if (parties.reduce((sum, p) => sum + sizes[p]!, 0) > seats) return undefined;
    if (roles !== undefined && !areSeated(roles, parties)) return undefined;
  }
  return team;
}

function partiesOf(team: readonly number[], t: number): number[] {
  const parties: number[] = [];
  for (let p = 0; p < team.length; p++) if (team[p] === t) parties.push(p);
  return parties;
}

/** Splits to begin with: in the order given; the largest and strongest first to the weakest side; whatever fits. */
function* beginnings(task: SplitTask): Generator<number[]> {
  const { sizes, strengths } = task;
  const order = sizes.map((_, p) => p);
  const inOrder = deal(task, order, (_sums, free, size) => free.findIndex((seats) => seats >= size));
  if (inOrder !== undefined) yield inOrder;
  const bySize = [...order].sort((a, b) => sizes[b]! - sizes[a]! || strengths[b]! - strengths[a]! || a - b);
  const toWeakest = deal(task, bySize, (sums, free, size) => {
    let found = -1;
    for (let t = 0; t < free.length; t++) {
      if (free[t]! >= size && (found === -1 || sums[t]! < sums[found]!)) found = t;
    }
    return found;
  });
  if (toWeakest !== undefined) yield toWeakest;
  if (inOrder !== undefined || toWeakest !== undefined) return;
  const team = pack(
    bySize.map((p) => sizes[p]!),
    task.teams,
    task.seats,
  );
  if (team !== undefined) {
    const any = new Array<number>(sizes.length);
    for (const [at, p] of bySize.entries()) any[p] = team[at]!;
    if (packed(task, any) !== undefined) yield any;
  }
  if (task.roles !== undefined) {
    const found = placeOneByOne(task, task.roles, bySize);
    if (found !== undefined) yield found;
  }
}

function deal(
  task: SplitTask,
  order: readonly number[],
  choose: (sums: readonly number[], free: readonly number[], size: number) => number,
): number[] | undefined {
  const sums = new Array<number>(task.teams).fill(0);
  const free = new Array<number>(task.teams).fill(task.seats);
  const team = new Array<number>(order.length).fill(-1);
  for (const p of order) {
    const t = choose(sums, free, task.sizes[p]!);
    if (t === -1) return undefined;
    team[p] = t;
    sums[t]! += task.strengths[p]!;
    free[t]! -= task.sizes[p]!;
  }
  return packed(task, team);
}

/** Where roles ask: each party into a team that still holds with it, and back where there is none. */
function placeOneByOne(task: SplitTask, roles: RoleTask, order: readonly number[]): number[] | undefined {
  const team = new Array<number>(order.length).fill(-1);
  let steps = 0;
  const place = (at: number): boolean => {
    if (at === order.length) return true;
    const p = order[at]!;
    for (let t = 0; t < task.teams; t++) {
      if (++steps > task.steps) return false;
      const parties = partiesOf(team, t);
      const size = parties.reduce((sum, other) => sum + task.sizes[other]!, task.sizes[p]!);
      if (size > task.seats || !areSeated(roles, [...parties, p])) continue;
      team[p] = t;
      if (place(at + 1)) return true;
      team[p] = -1;
      // An empty team is like any other empty one.
      if (parties.length === 0) break;
    }
    return false;
  };
  return place(0) ? team : undefined;
}

/** Improves a split by moves to free seats and by exchanges of one or two parties, the first that helps each time. */
function exchange(task: SplitTask, start: readonly number[]): number[] {
  const { sizes, strengths, teams, seats } = task;
  const team = [...start];
  const sums = new Array<number>(teams).fill(0);
  const used = new Array<number>(teams).fill(0);
  for (const [p, t] of team.entries()) {
    sums[t]! += strengths[p]!;
    used[t]! += sizes[p]!;
  }
  let steps = 0;
  /** Does it, if it makes the sides more equal. */
  const tryMove = (from: readonly number[], to: readonly number[], a: number, b: number): boolean => {
    steps++;
    const size = total(sizes, from) - total(sizes, to);
    if (used[a]! - size > seats || used[b]! + size > seats) return false;
    const strength = total(strengths, from) - total(strengths, to);
    // Change of sumA^2 + sumB^2; what is less than rounding makes no cycle.
    if (2 * strength * (strength - sums[a]! + sums[b]!) > -1e-9) return false;
    for (const p of from) team[p] = b;
    for (const p of to) team[p] = a;
    const { roles } = task;
    if (roles !== undefined && !(areSeated(roles, partiesOf(team, a)) && areSeated(roles, partiesOf(team, b)))) {
      for (const p of from) team[p] = a;
      for (const p of to) team[p] = b;
      return false;
    }
    sums[a]! -= strength;
    sums[b]! += strength;
    used[a]! -= size;
    used[b]! += size;
    return true;
  };
  const improve = (): boolean => {
    for (let a = 0; a < teams; a++) {
      for (let b = 0; b < teams; b++) {
        if (a === b) continue;
        const [ofA, ofB] = [groupsOf(partiesOf(team, a)), groupsOf(partiesOf(team, b))];
        for (const from of ofA) {
          if (tryMove(from, [], a, b)) return true;
          for (const to of ofB) {
            if (steps >= task.steps) return false;
            if (tryMove(from, to, a, b)) return true;
          }
        }
      }
    }
    return false;
  };
  while (steps < task.steps && improve());
  return team;
}

/** Every party, and every two. */
function groupsOf(parties: readonly number[]): number[][] {
  const groups = parties.map((p) => [p]);
  for (let i = 0; i < parties.length; i++) {
    for (let j = i + 1; j < parties.length; j++) groups.push([parties[i]!, parties[j]!]);
  }
  return groups;
}

function total(values: readonly number[], parties: readonly number[]): number {
  let sum = 0;
  for (const p of parties) sum += values[p]!;
  return sum;
}
