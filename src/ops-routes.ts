/**
 * What operators ask of a cluster over HTTP, for admins only. A root file, as it joins the machinery of the cluster with the
 * HTTP surface. Not in the public description of the API: these are for whoever runs the servers, on paths that a load
 * balancer may close to the outside, and they change with how a cluster is run, not with what clients see.
 */
import * as z from 'zod';
import { type Caller, defineRoute, type Route } from './api/route.ts';
import {
  BUILD_ID,
  type CanaryState,
  COHORT,
  canaryState,
  describeCanary,
  NO_CANARY,
  promote,
  rollBack,
  TRACKS,
  trackOfBuild,
} from './cluster/canary.ts';
import type { CanaryDesk, CanaryRecord, CanaryStore } from './cluster/canary-desk.ts';
import type { ProcessCard, RoomRecord } from './cluster/directory.ts';

/** Rooms that one answer names; `roomsTotal` counts the others, too. */
const ROOMS_LISTED_MAX = 1_000;
/** Players that one request adds to a cohort, or takes from it. */
const PLAYERS_MAX = 100;

export interface OpsRouteDeps {
  readonly processId: () => string;
  /** That live, this one included. */
  readonly processes: () => readonly ProcessCard[];
  /** Of all processes. @throws GameError STORE_UNAVAILABLE */
  readonly rooms: () => Promise<readonly (RoomRecord & { readonly state: string })[]>;
  /** Resolves once the process has heard it. @throws GameError PROCESS_UNKNOWN, PROCESS_UNAVAILABLE, STORE_UNAVAILABLE */
  readonly drain: (processId: string, by: string) => Promise<void>;
  readonly canary: CanaryDesk;
  readonly cohorts: Pick<CanaryStore, 'members' | 'addMembers' | 'removeMembers'>;
  /** For the log: who did what. */
  readonly audit: (facts: { readonly by: string; readonly action: string; readonly [fact: string]: unknown }) => void;
}

const processId = z.string().regex(/^[\w-]{1,64}$/);
const build = z.string().regex(BUILD_ID);
const cohort = z.string().regex(COHORT);
const playerIds = z
  .array(z.string().regex(/^[a-z]-[A-Za-z0-9_-]{22}$/))
  .min(1)
  .max(PLAYERS_MAX);

const change = z.discriminatedUnion('action', [
  z.strictObject({ action: z.literal('percent'), build, percent: z.int().min(0).max(100) }),
  z.strictObject({ action: z.literal('cohort'), build, cohort }),
  z.strictObject({ action: z.literal('promote') }),
  z.strictObject({ action: z.literal('rollback') }),
  z.strictObject({ action: z.literal('clear') }),
  z.strictObject({ action: z.literal('add-players'), cohort, playerIds }),
  z.strictObject({ action: z.literal('remove-players'), cohort, playerIds }),
]);
type Change = z.output<typeof change>;

const canaryAnswer = z.strictObject({
  state: canaryState,
  revision: z.int(),
  by: z.string(),
  text: z.string(),
  /** Of the cohort that was asked for. */
  players: z.array(z.string()).optional(),
});

const clusterAnswer = z.strictObject({
  processId: z.string(),
  canary: z.string(),
  processes: z.array(
    z.strictObject({
      processId: z.string(),
      host: z.string(),
      port: z.int(),
      roles: z.array(z.string()),
      buildId: z.string(),
      track: z.enum(TRACKS),
      region: z.string(),
      isDraining: z.boolean(),
      rooms: z.int(),
      players: z.int(),
      matchSlotsAvailable: z.int(),
      tickP99Ms: z.number(),
    }),
  ),
  roomsTotal: z.int(),
  rooms: z.array(
    z.strictObject({
      roomId: z.string(),
      roomName: z.string(),
      matchId: z.string(),
      buildId: z.string(),
      processId: z.string(),
      epoch: z.int(),
      state: z.string(),
    }),
  ),
});

export function opsRoutes(deps: OpsRouteDeps): Route[] {
  const { canary } = deps;
  return [
    defineRoute({
      method: 'GET',
      path: '/ops/cluster',
      summary: 'Processes of the cluster, and rooms with their owners and epochs.',
      tag: 'Operations',
      role: 'admin',
      answer: clusterAnswer,
      refusals: ['STORE_UNAVAILABLE'],
      run: async () => {
        const rooms = await deps.rooms();
        const { state } = canary.record;
        return {
          processId: deps.processId(),
          canary: describeCanary(state),
          processes: deps.processes().map((card) => published(card, state)),
          roomsTotal: rooms.length,
          rooms: rooms
            .slice(0, ROOMS_LISTED_MAX)
            .map(({ roomId, roomName, matchId, buildId, processId, epoch, state }) => ({
              roomId,
              roomName,
              matchId,
              buildId,
              processId,
              epoch,
              state,
            })),
        };
      },
    }),
    defineRoute({
      method: 'POST',
      path: '/ops/drain',
      summary: 'Drains a process: this one, or the one that is named. It ends with exit code 0.',
      tag: 'Operations',
      role: 'admin',
      body: z.strictObject({ processId: processId.optional() }),
      status: 202,
      answer: z.strictObject({ processId: z.string() }),
      refusals: ['PROCESS_UNKNOWN', 'PROCESS_UNAVAILABLE', 'STORE_UNAVAILABLE'],
      run: async ({ body, caller }) => {
        const wanted = body.processId ?? deps.processId();
        deps.audit({ by: caller.playerId, action: 'drain', process: wanted });
        await deps.drain(wanted, caller.playerId);
        return { processId: wanted };
      },
    }),
    defineRoute({
      method: 'GET',
      path: '/ops/canary',
      summary: 'Which build is tried, and on whom.',
      tag: 'Operations',
      role: 'admin',
      query: z.strictObject({ cohort: cohort.optional() }),
      answer: canaryAnswer,
      refusals: ['STORE_UNAVAILABLE'],
      run: async ({ query }) => {
        await canary.look();
        const answer = canaryOf(canary.record);
        return query.cohort === undefined
          ? answer
          : { ...answer, players: [...(await deps.cohorts.members(query.cohort))] };
      },
    }),
    defineRoute({
      method: 'POST',
      path: '/ops/canary',
      summary: 'Tries a build on a share of new matches or on a cohort, promotes it, or rolls it back.',
      tag: 'Operations',
      role: 'admin',
      body: change,
      answer: canaryAnswer,
      refusals: ['CANARY_NONE', 'CANARY_CHANGED', 'COHORT_FULL', 'STORE_UNAVAILABLE'],
      run: async ({ body, caller }) => {
        deps.audit({ ...summaryOf(body), by: caller.playerId });
        return canaryOf(await applied(body, caller, deps));
      },
    }),
  ];
}

async function applied(body: Change, { playerId }: Caller, { canary, cohorts }: OpsRouteDeps): Promise<CanaryRecord> {
  if (body.action === 'add-players') await cohorts.addMembers(body.cohort, body.playerIds);
  else if (body.action === 'remove-players') await cohorts.removeMembers(body.cohort, body.playerIds);
  else return canary.change(playerId, (state) => changed(state, body));
  return canary.record;
}

function changed(state: CanaryState, body: Exclude<Change, { playerIds: unknown }>): CanaryState {
  switch (body.action) {
    case 'percent':
      return { phase: 'percent', build: body.build, percent: body.percent };
    case 'cohort':
      return { phase: 'cohort', build: body.build, cohort: body.cohort };
    case 'promote':
      return promote(state);
    case 'rollback':
      return rollBack(state);
    case 'clear':
      return NO_CANARY;
  }
}

/** Players are counted: a log is no list of who tests what. */
function summaryOf(body: Change): { action: string; [fact: string]: unknown } {
  if (!('playerIds' in body)) return { ...body, action: `canary ${body.action}` };
  return { action: `canary ${body.action}`, cohort: body.cohort, players: body.playerIds.length };
}

function canaryOf({ state, revision, by }: CanaryRecord) {
  return { state, revision, by, text: describeCanary(state) };
}

function published(card: ProcessCard, state: CanaryState) {
  const { processId, host, port, roles, buildId, region, isDraining, load } = card;
  return {
    processId,
    host,
    port,
    roles: [...roles],
    buildId,
    track: trackOfBuild(state, buildId),
    region,
    isDraining,
    rooms: load.rooms,
    players: load.players,
    matchSlotsAvailable: load.matchSlotsAvailable,
    tickP99Ms: load.tickP99Ms,
  };
}
