/**
 * The one base class of rooms. It joins the parts (simulation, tick loop, input discipline, interest,
 * journal, ping) and holds what every game needs: seats, drop and resume, coded answers, and faults
 * that touch nobody else. It has no rule of any game.
 */
import {
  ClientState,
  CloseCode,
  type DefineInputOptions,
  definePlugins,
  ErrorCode,
  type MessageContext,
  type Messages,
  Room,
  ServerError,
} from '@colyseus/core';
import type { Schema } from '@colyseus/schema';
import * as z from 'zod';
import type { Track } from '../src/cluster/canary.ts';
import type { CreationOptions } from '../src/cluster/match-ids.ts';
import { ByteReader, ByteWriter } from '../src/kernel/bytes.ts';
import { CLOSE, GameError, type ErrorCode as RefusalCode } from '../src/kernel/errors.ts';
import type { EndReason, MatchHeader, Participant } from '../src/kernel/match-header.ts';
import type { MatchSetup, SeatEvent, SeatIntent, Simulation, Standing } from '../src/kernel/simulation.ts';
import { type PendingAdoption, pendingAdoptionOf, readAdoption } from '../src/match/adoption.ts';
import type { InputLayout } from '../src/match/client-frame.ts';
import {
  encoderOf,
  expectInputs,
  inputLayoutOf,
  listingOf,
  onAcknowledged,
  SOCKET_OPEN,
  socketOf,
} from '../src/match/colyseus-internals.ts';
import { CommandBudgets } from '../src/match/command-budgets.ts';
import { type Compatibility, isSame, schemaHashOf } from '../src/match/compatibility.ts';
import { HotSerializer } from '../src/match/hot-serializer.ts';
import { INPUT_QUEUE_MAX, InputPlugin } from '../src/match/input-plugin.ts';
import { type InterestOptions, InterestPlugin } from '../src/match/interest-plugin.ts';
import { RECORD_MAX_BYTES } from '../src/match/journal.ts';
import { type Durability, JournalPlugin } from '../src/match/journal-plugin.ts';
import { PingPlugin } from '../src/match/ping-plugin.ts';
import { type FoldedRoom, foldMatch, type RoomStart, startsOf } from '../src/match/restore.ts';
import { writeRoomCapture } from '../src/match/room-capture.ts';
import { Roster, type SavedRoster } from '../src/match/roster.ts';
import { SchemaCapture } from '../src/match/schema-capture.ts';
import type { SessionRecord } from '../src/match/session-records.ts';
import { TickPlugin } from '../src/match/tick-plugin.ts';
import { checkName, guestName } from '../src/sessions/names.ts';
import type { SessionEnd } from '../src/sessions/session.ts';
import { isAway, type Player, RoomSeats, type SavedSessions, type Session } from './room-seats.ts';
import type { Revoked, RoomMetadata, RoomServices, Vacancies } from './room-services.ts';

export type { Player } from './room-seats.ts';

export type { Revocations, Revoked, RoomLog, RoomMetadata, RoomServices, RoomSettings } from './room-services.ts';

/** Seconds for which the matchmaker holds a seat that nobody has come to take; also delays a drain. */
const SEAT_RESERVATION_SECONDS = 8;
/** Frames of any kind a second, above which the framework drops the client; ten times the fastest honest one. */
const MESSAGES_PER_SECOND_MAX = 640;
/** Seconds that a client has to acknowledge its join; until then it receives nothing and only holds a seat. */
const JOIN_ACK_SECONDS = 10;
/** A match that is not under way by then, because nobody else came or nobody moved, is given up. */
const WAIT_MINUTES_MAX = 10;
/** Longest that the end of a match waits for its replay, seconds. */
const ARCHIVE_SECONDS = 5;
/** Seconds between two refreshes of what panels show. */
const METADATA_SECONDS = 2;
/** Furthest a shooter may look back, ms. */
const REWIND_MAX_MS = 500;
/** How long the seat of who lost its connection waits for it. */
const RECONNECT_SECONDS = 60;
/** What nobody should miss, be it late. */
const KEPT_MESSAGES: ReadonlySet<string> = new Set(['notice', 'match-ended']);
/** Longest that a restored match waits for all of its players before it goes on, ms. */
const HOLD_MS = 1_500;
/** How often it looks whether they are back, ms. */
const HOLD_LOOK_MS = 10;
/** Longest that who comes or goes waits until the journal has it, seconds: a disk that hangs must not keep people out. */
const RECORD_SECONDS = 1;
/** Numbers and places that a restored room leaves out: more than the old one can have given away unrecorded. */
const IDENTITY_GAP = 64;
/**
 * Ms after its join from which a client comes back by itself wherever its match goes: the SDK's own five seconds, counted
 * from when the client hears that it has joined.
 */
const SETTLES_MS = 5_500;
/** Above, no client can have kept its clock: those give up before. */
const AWAY_MAX_MS = 60_000;

export interface GameRoomTypes {
  // biome-ignore lint/suspicious/noExplicitAny: Room's own constraint on its state
  state: any;
  input: Schema;
}

/**
 * How far a room is on its way out. `running`: the match goes on. The others say how it ends, from the moment that is
 * certain: nobody joins any more. `shutdown`: the framework shows everybody out, at a drain or for an operator, while
 * the match goes on until the last has left. `retired`: the match goes on elsewhere, and only the room ends.
 */
type Ending = 'running' | EndReason | 'failed' | 'retired';

/** How a match came out, told once. */
interface Verdict {
  readonly standings: readonly Standing[];
  readonly participants: readonly Participant[];
}

/** How a game reads its clients' frames. */
export interface FrameBinding<Frame, Intent> {
  readonly type: new () => Frame;
  /** Inclusive bounds by field; what lies outside is clamped before anything reads it. */
  readonly sanitize: NonNullable<DefineInputOptions<Frame>['sanitize']>;
  /** See InputBinding.toIntent. */
  toIntent(frame: Frame, rewind: number): Intent;
}

/** Close codes after which a client does not keep its seat: it was thrown out, not lost. */
const THROWN_OUT: ReadonlySet<number> = new Set([CloseCode.WITH_ERROR, ...Object.values(CLOSE)]);

/** Why who left with this code is gone. */
function endOf(code: number | undefined): SessionEnd {
  if (code === undefined || code === CloseCode.CONSENTED) return 'left';
  return THROWN_OUT.has(code) ? 'thrown-out' : 'expired';
}

/** Those that a bug of a game must not leave unnoticed. */
const GUARDED_HOOKS = ['onJoin', 'onLeave', 'onDrop', 'onReconnect', 'onDispose'] as const;

const count = z.int().min(0).max(100_000);
/** What a client tells of its prediction, counted since its last report. */
const predictionReport = z.strictObject({ corrections: count, desyncs: count, maxErrorUnits: count, ticks: count });

/** Resolves by the process's clock: a room's own stands still once its loop has stopped. */
function after<T>(seconds: number, value: T): Promise<T> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000, value).unref());
}

/** What a capture of the room says in JSON. */
interface RoomFacts extends SavedSessions {
  readonly roster: SavedRoster;
  readonly verdict?: Verdict;
}

/** @throws RangeError if it is not JSON of that kind */
function parseFacts(bytes: Uint8Array): RoomFacts {
  try {
    const facts = JSON.parse(new TextDecoder().decode(bytes)) as RoomFacts;
    for (const part of [facts.seats, facts.events, facts.sessions, facts.roster.seated, facts.roster.former]) {
      if (!Array.isArray(part)) throw new RangeError('a part is no list');
    }
    return facts;
  } catch (error) {
    throw new RangeError(`the facts of a room: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * Room time now, ms: as its clients reckon it, who did not stand still. Never less than the ticks that they saw take.
 * The wall clock may have been set meanwhile; nobody who comes back was away for longer than the bound.
 */
function elapsedAfter({ nextTick }: FoldedRoom, start: RoomStart | undefined, tickRateHz: number): number {
  const { tick, elapsedMs, takenAtMs } = start?.capture ?? { tick: 0, elapsedMs: 0, takenAtMs: Date.now() };
  const playedMs = ((nextTick - tick) * 1000) / tickRateHz;
  const awayMs = Math.min(Math.max(Date.now() - takenAtMs, 0), playedMs + AWAY_MAX_MS);
  return elapsedMs + Math.max(playedMs, awayMs);
}

export abstract class GameRoom<T extends GameRoomTypes, World, Intent> extends Room<{
  state: T['state'];
  input: T['input'];
  metadata: RoomMetadata;
  client: Player;
}> {
  override seatReservationTimeout = SEAT_RESERVATION_SECONDS;
  override maxMessagesPerSecond = MESSAGES_PER_SECOND_MAX;
  override plugins = definePlugins([
    new TickPlugin(),
    new InputPlugin(),
    new InterestPlugin(this.interestOptions()),
    new JournalPlugin(),
    new PingPlugin(),
  ]);
  override messages: Messages<Room> = {
    _: () => {
      // Ignored, not punished: an older or a newer client is no attacker.
      this.services.totals.room.unknownMessages++;
    },
    report: this.command(predictionReport, (_client, report) => {
      this.services.totals.room.corrections += report.corrections;
      this.services.totals.room.desyncs += report.desyncs;
    }),
    ...this.commands(),
  };

  protected services!: RoomServices;
  protected world!: World;
  protected matchId = '';
  #seats!: RoomSeats;
  #capture!: SchemaCapture<T['state']>;
  #tickRateHz = 0;
  /** A snapshot was too large, which was said. */
  #isTooLarge = false;
  /** Handed over: nothing happens any more unless it is taken back. */
  #isFrozen = false;
  /** Frozen, and its players are on their way to where it will be. */
  #isSentAway = false;
  /** When somebody last joined, by {@link #nowMs}. */
  #joinedMs = Number.NEGATIVE_INFINITY;
  /** Patches as the journal counts them: ticks since the last, and the tick that has not been counted yet. */
  #sincePatch = 0;
  #uncounted: { readonly tick: number; isPatched: boolean } | undefined;
  readonly #captured = { room: new ByteWriter(8192), interest: new ByteWriter(4096), state: new ByteWriter(8192) };
  readonly #roster = new Roster();
  /** Sessions whose old socket is being closed because a new one takes its place. */
  readonly #replacing = new Set<string>();
  readonly #budgets = new CommandBudgets();
  #stopRevocations: () => void = () => {};
  #entry: { tick: number; events: readonly SeatEvent[]; intents: SeatIntent<Intent>[] } = {
    tick: 0,
    events: [],
    intents: [],
  };
  #ending: Ending = 'running';
  #verdict: Verdict | undefined;
  /** What the listing says. */
  #isListedShut = false;
  /** A match is to go on here and does not yet: should that fail, somebody else tries. */
  #isRestoring = false;
  /** Until the first tick of a restored match. */
  #onTick: (() => void) | undefined;
  /** A restored match waits for its players. */
  #isAwaiting = false;
  #inputLayout: InputLayout | undefined;

  constructor() {
    super();
    // The wall clock jumps with NTP: a step back would freeze the room. start() has not sampled it yet.
    (this.clock as unknown as { now: () => number }).now = () => performance.now();
    // Because onUncaughtException exists, the base constructor has just shadowed each hook with a bound copy of the
    // prototype's, made before the plugins wrapped that prototype: the first room of a class would run no plugin hook.
    const own = this as unknown as Record<string, unknown>;
    for (const hook of ['onCreate', 'onAuth']) delete own[hook];
    // Left alone, a bug in one of these would be told to who joins, or to nobody.
    for (const hook of GUARDED_HOOKS) own[hook] = (...args: unknown[]) => this.#runHook(hook, args);
  }

  /** Runs a hook as it is on the prototype by now. Refusals pass; a bug is reported, and who comes is told INTERNAL. */
  async #runHook(hook: (typeof GUARDED_HOOKS)[number], args: unknown[]): Promise<void> {
    try {
      const hooks = Object.getPrototypeOf(this) as Record<string, (...args: unknown[]) => unknown>;
      await hooks[hook]!.apply(this, args);
    } catch (error) {
      if (error instanceof ServerError) throw error;
      const isAnswered = hook === 'onJoin' || hook === 'onReconnect';
      const refusal = isAnswered && error instanceof GameError ? error : undefined;
      if (refusal === undefined) this.onUncaughtException(error as Error, hook);
      // The wire carries a number and a text: the code leads the text.
      if (isAnswered)
        throw new ServerError(ErrorCode.APPLICATION_ERROR, (refusal ?? new GameError('INTERNAL')).message);
    }
  }

  // What a game brings -----------------------------------------------------------------------------------------

  protected abstract readonly sim: Simulation<World, Intent>;
  /** The client's frame class, its bounds by field, and what it means. */
  protected abstract readonly frames: FrameBinding<T['input'], Intent>;
  /** Who sees what. A method of the class, not a field: the plugins are made before a game's fields are. */
  protected abstract interestOptions(): InterestOptions;
  /** How this match is set up; recorded with it. */
  protected abstract setupMatch(seed: number): MatchSetup;
  /** The class of the state; all of its fields have defaults. */
  protected abstract readonly stateType: new () => T['state'];
  /** Writes into the state of a new match what stands before tick 0. That of a restored one comes filled. */
  protected fillState(_state: T['state'], _world: World): void {}
  /** Joins world and state, of a new match and of a restored one alike; from the two alone follows what is shown. */
  protected bindState(_state: T['state'], _world: World): void {}
  /** Writes what changed in the world into the state and tells interest where things are, after each tick. */
  protected abstract project(world: World, tick: number): void;
  /** One word for panels, from a closed set. */
  protected abstract phaseOf(world: World): string;
  /** The game's own commands by message type, each made with {@link GameRoom.command}. A method of the class, as above. */
  protected commands(): Messages<Room> {
    return {};
  }
  /** Parts of a tick in which the game's intents count `rewind`. */
  protected readonly rewindPartsPerTick: number = 1;
  /** What a bot in the seat asks for; a game without bots leaves it out. */
  protected think?(world: World, seat: number): Intent;
  /** A player has a connection to this seat: a new one, or again after a drop. Its join may be still to be stepped. */
  protected onSeated(_client: Player, _seat: number): void {}
  /** True when nobody may join any more although the match is not over. */
  protected isClosed(_world: World): boolean {
    return false;
  }
  /** True from when the result stands although the match is not over: who leaves then has played to the end. */
  protected isDecided(_world: World): boolean {
    return false;
  }
  /** False while the match waits for players. One that waits for too long is given up. */
  protected isUnderWay(_world: World): boolean {
    return true;
  }
  /** What a crash may take back, see {@link Durability}; as the operator set it unless a game knows better. */
  protected get durability(): Durability {
    return this.services.settings.durability;
  }
  /** Minutes that a match may wait for players. */
  protected readonly waitMinutesMax: number = WAIT_MINUTES_MAX;
  /** Seconds in which a dropped player may come back to its seat. */
  protected readonly reconnectSeconds: number = RECONNECT_SECONDS;
  /** Types of messages that wait for a player who is away; of others it is told how many it missed. */
  protected readonly keptMessages: ReadonlySet<string> = KEPT_MESSAGES;

  /** Seats that players may be queued for, by team, and who plays in which; a game with teams says more. */
  protected vacancies(): Vacancies {
    const seated = [...this.#seats.table.taken()].filter(({ isBot }) => !isBot);
    // Nobody is sent to where everybody has dropped out.
    if (!seated.some(({ isConnected }) => isConnected)) return { freeSeats: [0], players: [] };
    const players = seated.map(({ playerId }) => ({ playerId, team: 0 }));
    return { freeSeats: [Math.max(0, this.maxClients - players.length)], players };
  }

  /** Whether the seat's player has a connection; true for bots. */
  protected isConnected(seat: number): boolean {
    return this.#seats.table.at(seat)?.isConnected ?? false;
  }

  /** Smoothed round trip of the seat's player, ms; 0 for bots and before the first measurement. */
  protected rttMsOf(seat: number): number {
    const found = this.#seats.table.at(seat);
    return found === undefined || found.isBot ? 0 : (this.plugins.ping.get(found.sessionId)?.rttMs ?? 0);
  }

  /** The session that holds the seat, with a connection or without; empty for bots and free seats. */
  protected sessionIdOf(seat: number): string {
    return this.#seats.table.at(seat)?.sessionId ?? '';
  }

  /** The connected client in the seat, if there is one. */
  protected clientOf(seat: number): Player | undefined {
    const found = this.#seats.table.at(seat);
    return found === undefined || found.isBot ? undefined : this.clients.getById(found.sessionId);
  }

  // Life of the room -------------------------------------------------------------------------------------------

  /** The framework calls this when it is given a state, before it encodes any of it. */
  override setSerializer(): void {
    super.setSerializer(new HotSerializer(this.plugins.interest));
  }

  override async onCreate(options: { services: RoomServices } & CreationOptions): Promise<void> {
    const { sim } = this;
    this.services = options.services;
    this.#capture = new SchemaCapture(this.stateType);
    let adoption = pendingAdoptionOf(this.roomId);
    this.#isRestoring = adoption !== undefined;
    const epoch = adoption === undefined ? await this.#register(options.matchId) : adoption.writer.epoch;
    if (epoch > 1) adoption ??= await this.#takeOver(epoch);
    const header = adoption?.recorded.header ?? this.#newHeader(options);
    this.matchId = header.matchId;
    const services = this.#logAs(header);
    // Not on the list yet: nobody who did not queue for it comes in by chance.
    if (header.isPrivate) await this.setPrivate();
    this.#tickRateHz = header.tickRateHz;
    this.maxClients = Math.min(services.settings.maxPlayers, sim.maxSeats);
    const elapsedMs = adoption === undefined ? this.#begin(header.setup) : await this.#restore(adoption);
    this.#openInputs();
    onAcknowledged(this, (client) => this.#acknowledge(client as Player));
    this.plugins.interest.countInto(services.totals.interest);
    this.plugins.ping.countInto(services.totals.ping);
    await this.plugins.journal.begin({
      sim,
      journal: services.journal,
      settler: services.settler,
      header,
      ...(adoption === undefined ? { epoch } : { writer: adoption.writer }),
      isSnapshotOnCall: true,
      world: this.world,
      durability: this.durability,
      onTooLarge: (bytes) => this.#noteTooLarge(bytes),
      onFreeze: (isFrozen) =>
        services.log.warn(
          { isFrozen },
          isFrozen ? 'match stands still: its journal does not answer' : 'match goes on: its journal answers',
        ),
      onFault: (error) => this.#loseJournal(error),
    });
    this.#publish();
    this.#stopRevocations = services.revocations?.onRevoked((revoked) => this.#throwOut(revoked)) ?? (() => {});
    this.plugins.tick.start({
      scheduler: services.scheduler,
      totals: services.totals.tick,
      rateHz: this.#tickRateHz,
      patchEveryTicks: services.settings.patchEveryTicks,
      firstTick: sim.tickOf(this.world),
      isHeld: adoption !== undefined && !adoption.isSuspect,
      phases: {
        inputs: (tick) => this.#collect(tick),
        step: () => this.#step(),
        project: (tick) => this.#project(tick),
        patch: (tick) => this.#patch(tick),
      },
      mayTick: () => this.plugins.journal.mayTick,
      onFault: (error, phase) => this.#fail(error, phase),
    });
    const facts = { matchId: this.matchId, roomId: this.roomId, room: this.roomName };
    if (adoption === undefined) {
      services.totals.room.matchesCreated.add(this.#track);
      services.log.info(facts, 'match created');
      return;
    }
    this.clock.tick();
    this.clock.elapsedTime = elapsedMs;
    listingOf(this).createdAt = new Date(header.createdAtMs);
    this.#seats.awaitAll();
    // The framework looks whether a room is full when somebody comes, and else only when it is told how many may. Left
    // open, a full one would be offered to newcomers, who are then refused.
    await this.setMatchmaking({ maxClients: this.maxClients });
    if (!adoption.isSuspect) this.#await(adoption.open);
    this.#onTick = adoption.onTick;
    this.#isRestoring = false;
    services.log.info({ ...facts, tick: sim.tickOf(this.world), epoch: adoption.writer.epoch }, 'match restored');
  }

  /**
   * Nothing of a new match is written before the cluster knows that it is made here. Its id is stamped by the server that
   * was asked for it, so that two rooms which are made for one request are one match; and the room's is the same.
   * @returns the epoch of its journal
   */
  async #register(matchId: unknown): Promise<number> {
    const { registry } = this.services;
    this.matchId = typeof matchId === 'string' ? matchId : this.services.newMatchId();
    this.roomId = this.matchId;
    const { roomId, roomName } = this;
    try {
      return (await registry?.begin({ roomId, roomName, matchId: this.matchId })) ?? 1;
    } catch (error) {
      // There is no match that could have ended.
      this.#ending = 'failed';
      throw error;
    }
  }

  /**
   * Another process began this match and got no further, or not that anybody knows: what it has written is where the
   * match goes on, and it can write no more.
   */
  async #takeOver(epoch: number): Promise<PendingAdoption | undefined> {
    const { roomId, matchId } = this;
    const { journal } = this.services;
    const found = await journal.loadTail(matchId);
    if (found === undefined) return undefined;
    const { simId, simVersion, schemaHash } = found.header;
    if (schemaHash === undefined || !isSame({ simId, simVersion, schemaHash }, this.compatibility)) {
      this.#ending = 'failed';
      throw new GameError('MATCH_EXISTS', { matchId });
    }
    const writer = await journal.open(found.header, Math.max(epoch, found.epoch + 1));
    return readAdoption(journal, writer, { roomId, open: undefined });
  }

  /** Another process has this match, so nothing of it is this one's to write or to tell. */
  get #isElsewhere(): boolean {
    return this.services.registry?.owns(this.roomId) === false;
  }

  #newHeader({ isPrivate, traceId }: CreationOptions): MatchHeader {
    const { services, matchId } = this;
    return {
      matchId,
      ...this.compatibility,
      tickRateHz: services.settings.tickRateHz,
      roomName: this.roomName,
      roomId: this.roomId,
      buildId: services.settings.buildId,
      setup: this.setupMatch(services.newSeed()),
      createdAtMs: Date.now(),
      ...(isPrivate ? { isPrivate } : {}),
      ...(traceId === undefined ? {} : { traceId }),
    };
  }

  /** A new match. @returns room time, ms */
  #begin(setup: MatchSetup): number {
    this.world = this.sim.create(setup);
    this.#seats = this.#newSeats(this.maxClients);
    const state = new this.stateType();
    this.fillState(state, this.world);
    this.state = state;
    this.bindState(state, this.world);
    return 0;
  }

  #newSeats(limit: number): RoomSeats {
    return new RoomSeats(limit, {
      room: this,
      journal: { session: (record) => this.#recordSession(record) },
      totals: this.services.totals.sessions,
      nowMs: () => this.#nowMs(),
      reconnectSeconds: this.reconnectSeconds,
      isOver: () => this.#ending !== 'running',
      onAbsentLeft: (client) => Promise.resolve(this.onLeave(client, CloseCode.FAILED_TO_RECONNECT)),
      onTakenOver: (from, to) => this.plugins.interest.reown(from, to),
    });
  }

  #recordSession(record: SessionRecord): void {
    // Who is sent away is no news, and by then the match may have been claimed: this would be a former owner's word.
    if (this.#isFrozen && record.kind === 'dropped') return;
    this.plugins.journal.session(record);
  }

  #openInputs(): void {
    const { services } = this;
    const tickRateHz = this.#tickRateHz;
    this.#inputLayout = inputLayoutOf(new this.frames.type());
    this.inputs = this.defineInput(this.frames.type, {
      tickRate: tickRateHz,
      bufferMaxSize: INPUT_QUEUE_MAX,
      sanitize: this.frames.sanitize,
    });
    // An attachment without entities costs nothing and makes every SDK stamp its frames with what it displayed.
    this.allowRewindState({ maxRewindMs: REWIND_MAX_MS }).attachAll([] as never, { fields: [] });
    this.plugins.input.start({
      inputs: this.inputs,
      type: this.frames.type,
      sanitize: this.frames.sanitize,
      tickRateHz,
      rewindMaxMs: REWIND_MAX_MS,
      rewindPartsPerTick: this.rewindPartsPerTick,
      toIntent: this.frames.toIntent,
      totals: services.totals.input,
      onFlood: (sessionId) => this.clients.getById(sessionId)?.send('notice', { code: 'RATE_LIMITED' }),
    });
  }

  /** What a match of this room needs to go on elsewhere. */
  get compatibility(): Compatibility {
    const { id: simId, version: simVersion } = this.sim;
    return { simId, simVersion, schemaHash: schemaHashOf(this.stateType, this.frames.type as new () => Schema) };
  }

  // A match that goes on here -----------------------------------------------------------------------------------

  /**
   * The match as its journal has it, and the room as its clients know it.
   * @returns room time, ms
   * @throws GameError SNAPSHOT_VERSION, JOURNAL_CORRUPT; RangeError if what was taken down does not fit together
   */
  async #restore({ recorded: tail, loadWhole }: PendingAdoption): Promise<number> {
    const { services, sim } = this;
    const start = this.#startOf(tail);
    let recorded = tail;
    if (start === undefined) {
      // The entries reach back to tick 0, so a bad capture costs time, not the match.
      if (tail.firstTick > 0) recorded = await loadWhole();
      this.#begin(recorded.header.setup);
    }
    const folded = await foldMatch({
      sim,
      recorded,
      start,
      world: this.world,
      patchEveryTicks: start?.capture.patchEveryTicks ?? services.settings.patchEveryTicks,
      onSession: (record) => this.#seats.apply(record),
      beforeStep: (entry) => this.#roster.note(entry, () => sim.standings(this.world)),
      afterStep: (entry) => {
        this.#seats.table.settle(entry.events);
        this.project(this.world, entry.tick);
        if (this.isDecided(this.world)) this.#conclude();
      },
      onPatch: () => encoderOf(this).discardChanges(),
    });
    this.#sincePatch = folded.ticksSincePatch;
    if (folded.divergedAtTick !== undefined) {
      services.totals.room.divergences++;
      services.log.error(
        { tick: folded.divergedAtTick },
        'a restored match came out differently; it goes on as it was simulated here',
      );
    }
    // Of a room that showed nothing before it was durable, nothing is missing.
    if (this.durability !== 'wal') this.#capture.skip(this.state, encoderOf(this), IDENTITY_GAP);
    return elapsedAfter(folded, start, this.#tickRateHz);
  }

  /** Puts up the newest room that can be read; undefined when the match has to be played again from its beginning. */
  #startOf(recorded: PendingAdoption['recorded']): RoomStart | undefined {
    for (const start of startsOf(recorded)) {
      try {
        const world = this.sim.decode(start.world);
        const { limit, roster, verdict, ...seats } = parseFacts(start.capture.facts);
        const restored = this.#capture.read(new ByteReader(start.capture.state));
        const people = this.#newSeats(limit);
        people.load({ ...seats, limit });
        this.world = world;
        this.#seats = people;
        this.#roster.load(roster);
        this.#verdict = verdict;
        this.state = restored.state;
        this.#capture.adopt(restored, encoderOf(this));
        this.plugins.interest.restore(new ByteReader(start.capture.interest), restored.structures);
        this.bindState(restored.state, world);
        return start;
      } catch (error) {
        // The next may do, as so far nothing was put up.
        if (this.state !== undefined || !(error instanceof GameError || error instanceof RangeError)) throw error;
      }
    }
    return undefined;
  }

  /** Holds the match until everybody is back who was in it, or the time is over. */
  #await(open: Promise<unknown> | undefined): void {
    let untilMs = Number.POSITIVE_INFINITY;
    void Promise.resolve(open).then(() => {
      untilMs = performance.now() + HOLD_MS;
    });
    const looking = setInterval(() => {
      const isBack = this.#seats.heldCount === 0 && this.clients.every(({ state }) => state === ClientState.JOINED);
      const isOver = performance.now() >= untilMs || (untilMs < Number.POSITIVE_INFINITY && isBack);
      if (!isOver && this.plugins.tick.isRunning) return;
      clearInterval(looking);
      this.#isAwaiting = false;
      if (!this.#isFrozen) this.plugins.tick.resume();
    }, HOLD_LOOK_MS);
    this.#isAwaiting = true;
  }

  /** The room at this moment, between two ticks and right after a patch. */
  #takeDown(): void {
    const { room, interest, state } = this.#captured;
    this.plugins.interest.capture(interest.clear());
    this.#capture.write(state.clear(), this.state, encoderOf(this));
    const facts: RoomFacts = {
      ...this.#seats.save(),
      roster: this.#roster.save(),
      ...(this.#verdict === undefined ? {} : { verdict: this.#verdict }),
    };
    writeRoomCapture(room.clear(), {
      tick: this.sim.tickOf(this.world),
      elapsedMs: this.clock.elapsedTime,
      takenAtMs: Date.now(),
      patchEveryTicks: this.services.settings.patchEveryTicks,
      facts: new TextEncoder().encode(JSON.stringify(facts)),
      interest: interest.view(),
      state: state.view(),
    });
    this.plugins.journal.snapshot(this.world, room.view());
  }

  #noteTooLarge(bytes: number): void {
    this.services.totals.room.snapshotsTooLarge++;
    if (this.#isTooLarge) return;
    this.#isTooLarge = true;
    this.services.log.error(
      { bytes, bytesMax: RECORD_MAX_BYTES },
      'world and room are too large for a snapshot: to go on elsewhere takes as long as the match was',
    );
  }

  /**
   * Stands still and has all of the match in the journal, so that another process can claim it; nobody notices. Then
   * comes {@link retire} or {@link unfreeze}, and before it {@link sendAway} where clients that dial are held.
   * @returns the epoch to be surpassed
   * @throws GameError JOURNAL_UNAVAILABLE, JOURNAL_FENCED; the room goes on
   */
  async handOver(): Promise<{ readonly epoch: number }> {
    const { journal, tick } = this.plugins;
    const { epoch } = journal;
    if (this.#ending !== 'running' || epoch === 0) {
      throw new GameError('JOURNAL_UNAVAILABLE', { matchId: this.matchId, reason: 'it is not recorded' });
    }
    this.#isFrozen = true;
    tick.pause();
    try {
      this.#patch(this.sim.tickOf(this.world) - 1);
      this.#uncounted = undefined;
      this.#sincePatch = 0;
      this.#takeDown();
      await journal.flush();
    } catch (error) {
      this.unfreeze();
      throw error;
    }
    return { epoch };
  }

  /**
   * Closes the connections of a match that was handed over while it is being claimed. SDKs wait a while before they dial
   * again, which is the longest part of a move, so it begins now.
   */
  sendAway(): void {
    if (!this.#isFrozen || this.#ending !== 'running') return;
    this.#isSentAway = true;
    for (const client of [...this.clients]) client.leave(CloseCode.MAY_TRY_RECONNECT);
  }

  /** Nobody took the match over: it goes on here, with who was sent away as soon as they are back. */
  unfreeze(): void {
    this.#isFrozen = false;
    if (this.#ending !== 'running' || this.#isAwaiting) return;
    if (this.#isSentAway) this.#await(undefined);
    else this.plugins.tick.resume();
    this.#isSentAway = false;
  }

  /** Ms until all clients would come back by themselves if the match moved. */
  get settledInMs(): number {
    return Math.max(0, this.#joinedMs + SETTLES_MS - this.#nowMs());
  }

  /**
   * The match is somebody else's now: the room ends at once and silently. Journal, listing and results are the new
   * owner's; the players' own reconnection leads them there.
   */
  retire(): void {
    if (this.#ending === 'retired') return;
    this.#ending = 'retired';
    this.plugins.tick.stop();
    this.services.onRetire?.(this.roomId);
    void this.plugins.journal.abandon();
    void super.disconnect(CloseCode.MAY_TRY_RECONNECT);
  }

  #loseJournal(error: unknown): void {
    const { log } = this.services;
    if (error instanceof GameError && error.code === 'JOURNAL_FENCED') {
      log.warn({ roomId: this.roomId }, 'the match has a newer owner: this room ends');
      this.retire();
    } else {
      log.error({ err: error, matchId: this.matchId }, 'journal degraded: match goes on unrecorded');
    }
  }

  // Who comes and goes ------------------------------------------------------------------------------------------

  override async onJoin(
    client: Player,
    options: { name?: unknown; takeOver?: unknown; traceId?: string } | undefined,
  ): Promise<void> {
    try {
      this.#join(client, options?.name, options?.takeOver !== false);
      await this.#durable();
      const { playerId } = client.auth!;
      this.services.log.info({ trace: options?.traceId, playerId, sessionId: client.sessionId }, 'player joined');
    } catch (error) {
      if (error instanceof GameError) this.services.totals.room.joinsRefused.add(error.code);
      throw error;
    }
  }

  #join(client: Player, wantedName: unknown, takesOver: boolean): void {
    // The class that is registered carries the static onAuth; without it nobody may play.
    if (client.auth === undefined) throw new GameError('AUTH_MISSING');
    if (this.#ending === 'shutdown' || this.#ending === 'retired' || this.#isFrozen) throw new GameError('DRAINING');
    if (this.#isShut) throw new GameError('MATCH_ENDED');
    // It may have ended after the seat was reserved.
    this.services.revocations?.check(client.auth.signInId);
    const name = wantedName === undefined ? guestName(client.auth.playerId) : checkName(wantedName);
    const { session, former } = this.#seats.join(client, name, takesOver);
    if (former !== undefined) this.#showOut(former);
    this.#admit(client, session);
    this.#joinedMs = this.#nowMs();
    this.services.totals.room.joins++;
  }

  /**
   * Lets another device of a player in although every seat is taken, as it will take over that of its player. Whoever
   * comes in its place is refused, as there is no seat.
   * @returns whether the player has a seat here
   */
  async giveWay(playerId: unknown): Promise<boolean> {
    if (typeof playerId !== 'string' || this.#isShut || this.#seats.table.ofPlayer(playerId) === undefined)
      return false;
    const { limit } = this.#seats.table;
    await this.setMatchmaking({ maxClients: limit + 1 });
    this.clock.setTimeout(() => {
      this.setMatchmaking({ maxClients: limit }).catch((error: unknown) =>
        this.services.log.warn({ err: error }, 'room listing not updated'),
      );
    }, SEAT_RESERVATION_SECONDS * 1000);
    return true;
  }

  /** The player goes on from another device: this one is told, and does not come back. */
  #showOut({ sessionId, auth }: Session): void {
    this.services.log.info({ matchId: this.matchId, playerId: auth.playerId }, 'seat taken over by another device');
    this.#budgets.forget(sessionId);
    const client = this.clients.getById(sessionId);
    if (client === undefined) return;
    client.send('notice', { code: 'SEAT_TAKEN_OVER' });
    this.kickClient(sessionId, CLOSE.SEAT_TAKEN_OVER, 'SEAT_TAKEN_OVER');
  }

  /**
   * Resolves once the journal has who came or went: from then on any process would let it in again.
   * @throws GameError DRAINING if the match is somebody else's
   */
  async #durable(): Promise<void> {
    try {
      await Promise.race([this.plugins.journal.flush(), after(RECORD_SECONDS, undefined)]);
    } catch (error) {
      this.#loseOnce(error);
      if (this.#ending === 'retired') throw new GameError('DRAINING');
    }
  }

  /** Otherwise the next tick tells. */
  #loseOnce(error: unknown): void {
    if (error instanceof GameError && error.code === 'JOURNAL_FENCED') this.#loseJournal(error);
  }

  /** Asked over HTTP. */
  override checkReconnectionToken(reconnectionToken: string): string {
    const sessionId = this.#closeStale(reconnectionToken);
    return sessionId ?? super.checkReconnectionToken(reconnectionToken);
  }

  /** Asked when a socket comes, as an SDK does that comes back by itself. */
  override hasReservedSeat(sessionId: string, reconnectionToken?: string): boolean {
    if (reconnectionToken !== undefined) this.#closeStale(reconnectionToken);
    return super.hasReservedSeat(sessionId, reconnectionToken);
  }

  /**
   * A player who comes back before the loss of its old socket was noticed, as with a reload of the page, or who never got
   * the token that went to that socket. The framework knows the newest token only and would wait for the socket's end; it
   * then closes it as if for a fault, which must not count as thrown out.
   * @returns the session whose seat waits now for who has the token
   */
  #closeStale(token: string): string | undefined {
    const stale = this.clients.find(({ sessionId, reconnectionToken, state }) => {
      // Who has said that it is there has the newest.
      if (reconnectionToken === token || state === ClientState.JOINED) return reconnectionToken === token;
      return this.#seats.sessionOf(sessionId)?.tokens.includes(token);
    });
    if (stale === undefined) return undefined;
    this.#replacing.add(stale.sessionId);
    // Not let in yet itself: the framework would take that for leaving for good.
    if (stale.state === ClientState.RECONNECTING) stale.state = ClientState.JOINING;
    const sessionId = super.checkReconnectionToken(stale.reconnectionToken);
    // The framework leaves it open, deaf, for as long as its client likes.
    stale.leave(CloseCode.WITH_ERROR);
    return sessionId;
  }

  override onDrop(client: Player, code?: number): Promise<void> | undefined {
    this.#seats.disconnected(client.sessionId);
    const isReplaced = this.#replacing.delete(client.sessionId);
    // A client that was thrown out does not hold a seat: only a lost connection does.
    if (this.#ending !== 'running' || (THROWN_OUT.has(code ?? 0) && !isReplaced)) return undefined;
    if (!this.#isSentAway) this.services.totals.room.drops++;
    return this.#seats.drop(client);
  }

  override async onReconnect(client: Player): Promise<void> {
    // It may have ended while the room was nowhere.
    if (client.auth !== undefined) this.services.revocations?.check(client.auth.signInId);
    this.#admit(client, this.#seats.resume(client));
    this.services.totals.room.resumes++;
    try {
      await this.#durable();
    } catch (error) {
      // Not shown out, which would be for good: cut off, it comes again, and then to where the match is.
      socketOf(client).terminate?.();
      throw error;
    }
    // Lost meanwhile it has not left, which the framework would take it for.
    const isLost = socketOf(client).readyState !== SOCKET_OPEN;
    if (isLost && client.state === ClientState.RECONNECTING) client.state = ClientState.JOINING;
  }

  override async onLeave(client: Player, code?: number): Promise<void> {
    this.#budgets.forget(client.sessionId);
    const seat = this.#seats.leave(client.sessionId, endOf(code));
    if (seat === undefined) return;
    this.plugins.input.unseat(seat.index);
    // Who left is not let in again, whatever becomes of this process.
    await this.#durable().catch(() => undefined);
  }

  /** A sign-in ended: its client is shown out and cannot come back; nobody else notices. */
  #throwOut({ sessionId, code }: Revoked): void {
    for (const client of this.clients) {
      if (client.auth?.signInId !== sessionId) continue;
      this.services.log.info({ playerId: client.auth.playerId, code }, 'thrown out');
      this.kickClient(client.sessionId, code === 'ACCOUNT_BANNED' ? CLOSE.BANNED : CLOSE.SIGNED_OUT, code);
    }
    this.#seats.giveUp(sessionId);
  }

  /** The process drains: nobody else can go on with this match yet, so it ends here, recorded as cut short. */
  override onBeforeShutdown(): void {
    void this.disconnect(CloseCode.SERVER_SHUTDOWN);
  }

  /** Whoever still came while the framework shows everybody out would keep the room, and a drain, from its end. */
  override disconnect(closeCode?: number): Promise<unknown> {
    if (this.#ending === 'running') {
      this.#ending = 'shutdown';
      try {
        // As it stands: that everybody leaves now is not the players' doing.
        if (this.world !== undefined) this.#conclude();
      } catch (error) {
        this.onUncaughtException(error as Error, 'disconnect');
      }
    }
    return super.disconnect(closeCode);
  }

  override async onDispose(): Promise<void> {
    this.plugins.tick.stop();
    this.#seats?.close();
    this.#stopRevocations();
    this.services?.seeking?.end(this.matchId);
    if (this.#ending === 'running' && (this.#isElsewhere || this.#isRestoring)) this.#ending = 'retired';
    if (this.#ending === 'running') this.#ending = 'abandoned';
    if (this.#ending !== 'failed' && this.#ending !== 'retired' && this.world !== undefined) {
      try {
        // Left, or drained, while everybody looked at the result: it was played.
        if (this.isDecided(this.world)) this.#ending = 'completed';
        await this.#finish(this.#ending);
      } catch (error) {
        // Not thrown on: plugins, whose turn is after this, must let go of what they hold.
        this.onUncaughtException(error as Error, 'onDispose');
      }
    }
    if (!this.#isRestoring) await this.services.registry?.released(this.roomId);
    this.services.log.info({ ending: this.#ending }, 'match disposed');
  }

  /**
   * A bug. In a handler it has touched nobody else; in a hook that lets somebody in, that client is refused. A method,
   * because the framework wraps timers in the constructor, before a field would exist.
   */
  override onUncaughtException(error: Error, method: string): void {
    this.services?.totals.room.faults.add(method);
    this.services?.log.error({ err: error, method, matchId: this.matchId }, 'bug in a room');
  }

  // Seats ------------------------------------------------------------------------------------------------------

  /** By the room's clock, also while its loop stands still, ms. */
  #nowMs(): number {
    return (this.clock as unknown as { now(): number }).now();
  }

  /** Ends sockets that took a seat and never said that they are there. */
  #dropSilent(): void {
    const nowMs = this.#nowMs();
    for (const { sessionId, phase } of [...this.#seats.unacknowledged()]) {
      const client = this.clients.getById(sessionId);
      if (nowMs - phase.sinceMs > JOIN_ACK_SECONDS * 1000 && client !== undefined) {
        this.services.totals.room.joinsRefused.add('JOIN_TIMEOUT');
        // Who had a seat keeps it until it has been away for too long.
        if (phase.state === 'resumed') socketOf(client).terminate?.();
        else this.kickClient(sessionId, CloseCode.WITH_ERROR, 'JOIN_TIMEOUT');
      }
    }
  }

  /** Connects a socket to its seat: at a join and again after every resume. */
  #admit(client: Player, session: Session): void {
    const { index } = session.seat;
    this.plugins.journal.attach(client);
    expectInputs(client, this.#inputLayout);
    this.plugins.input.seat(client.sessionId, index);
    client.send('welcome', { seat: index, matchId: this.matchId });
    this.onSeated(client, index);
  }

  /** The client is there: it gets what waited for it, which until now it might have lost once more. */
  #acknowledge(client: Player): void {
    const session = this.#seats.acknowledged(client.sessionId);
    if (session === undefined) return;
    const { kept, lost } = this.#seats.takeMessages(session);
    for (const { type, payload } of kept) client.send(type, payload);
    if (Object.keys(lost).length > 0) client.send('missed', { types: lost });
  }

  /** Says something to the player in a seat; to one who is away, by the rule of {@link keptMessages}. */
  protected tell(seat: number, type: string, payload: unknown): void {
    const found = this.#seats.table.at(seat);
    if (found === undefined || found.isBot) return;
    const session = this.#seats.sessionOf(found.sessionId);
    if (session !== undefined && isAway(session)) this.#leaveMessage([session], type, payload);
    else this.clients.getById(found.sessionId)?.send(type, payload);
  }

  /** Says something to all players; to those who are away, by the same rule. */
  protected announce(type: string, payload: unknown): void {
    const absent = [...this.#seats.away()];
    this.#leaveMessage(absent, type, payload);
    const except = absent.flatMap(({ sessionId }) => this.clients.getById(sessionId) ?? []);
    this.broadcast(type, payload, except.length > 0 ? { except } : {});
  }

  /** Before anybody else hears of it: a crash must not take from the absent what others have heard. */
  #leaveMessage(absent: readonly Session[], type: string, payload: unknown): void {
    const isKept = this.keptMessages.has(type);
    const recorded = absent.filter((session) => this.#seats.leaveMessage(session, type, payload, isKept));
    if (recorded.length > 0) this.plugins.journal.holdBack();
  }

  // One tick ---------------------------------------------------------------------------------------------------

  #collect(tick: number): void {
    this.#countPatch();
    // What was taken out of a map keeps its place until the patch that tells.
    if (this.plugins.journal.isSnapshotDue && this.#sincePatch === 0) this.#takeDown();
    const fillTo = Math.min(this.services.settings.botsFillTo, this.maxClients);
    if (this.think !== undefined && !this.isClosed(this.world)) this.#seats.table.stepBots(fillTo);
    const intents: SeatIntent<Intent>[] = [];
    this.plugins.input.collect(tick, intents);
    if (this.think !== undefined) {
      let hasBots = false;
      for (const seat of this.#seats.table.taken()) {
        if (!seat.isBot || seat.isLeaving) continue;
        hasBots = true;
        intents.push({ seat: seat.index, intent: this.think(this.world, seat.index) });
      }
      if (hasBots) intents.sort((a, b) => a.seat - b.seat);
    }
    this.#entry = { tick, events: this.#seats.table.takeEvents(), intents };
  }

  #step(): void {
    const { sim, world } = this;
    this.#roster.note(this.#entry, () => sim.standings(world));
    sim.step(world, this.#entry);
    this.plugins.journal.record(this.#entry, world);
    this.#onTick?.();
    this.#onTick = undefined;
    this.#seats.table.free(this.#entry.events);
  }

  #project(tick: number): void {
    this.project(this.world, tick);
    this.#uncounted = { tick, isPatched: false };
    const tickRateHz = this.#tickRateHz;
    if (tick % tickRateHz === 0) this.#dropSilent();
    if (this.#ending !== 'running') return;
    const isStale = tick % (METADATA_SECONDS * tickRateHz) === 0;
    if (isStale || this.#isShut !== this.#isListedShut) this.#publish();
    if (this.isDecided(this.world)) this.#conclude();
    if (this.sim.isOver(this.world)) void this.#end('completed');
    else if (tick >= this.waitMinutesMax * 60 * tickRateHz && !this.isUnderWay(this.world)) void this.#end('abandoned');
  }

  #patch(tick: number): void {
    this.plugins.interest.setShedLevel(this.plugins.tick.shedLevel);
    this.plugins.input.notePatch(tick, this.clock.elapsedTime);
    this.broadcastPatch();
    if (this.#uncounted !== undefined) this.#uncounted.isPatched = true;
  }

  /** Whether the last tick carried a patch follows from the patch rate; where it does not, the journal says it. */
  #countPatch(): void {
    if (this.#uncounted === undefined) return;
    const { tick, isPatched } = this.#uncounted;
    this.#uncounted = undefined;
    this.#sincePatch++;
    const isExpected = this.#sincePatch >= this.services.settings.patchEveryTicks;
    if (isPatched !== isExpected) this.plugins.journal.session({ kind: 'patch', tick, isSent: isPatched });
    if (isPatched) this.#sincePatch = 0;
  }

  /** Nobody may join any more. */
  get #isShut(): boolean {
    return this.#ending !== 'running' || this.isClosed(this.world);
  }

  /** Every line that this room logs says which room and match it is of, and what its creation was part of. */
  #logAs({ traceId }: MatchHeader): RoomServices {
    const { roomName: room, roomId, matchId, services } = this;
    const log = services.log.child?.({ room, roomId, matchId, ...(traceId === undefined ? {} : { trace: traceId }) });
    this.services = { ...services, log: log ?? services.log };
    return this.services;
  }

  get #track(): Track {
    return this.services.track?.() ?? 'stable';
  }

  /** Says at once what has changed around it, such as which build is tried, to who looks for a room. */
  relist(): void {
    if (this.#ending === 'running') this.#publish();
  }

  /** Not once the framework has taken the room off its list. */
  #publish(): void {
    const stats = this.plugins.tick.snapshot();
    const metadata: RoomMetadata = {
      track: this.#track,
      matchId: this.matchId,
      phase: this.phaseOf(this.world),
      tick: this.sim.tickOf(this.world),
      tickP99Ms: Math.round((stats?.p99Ms ?? 0) * 100) / 100,
      overruns: stats?.overruns ?? 0,
      bots: [...this.#seats.table.taken()].filter(({ isBot }) => isBot).length,
    };
    const locked = this.#isShut;
    this.#isListedShut = locked;
    const { roomName, roomId, matchId } = this;
    if (locked) this.services.seeking?.end(matchId);
    else this.services.seeking?.ask({ roomName, roomId, matchId, ...this.vacancies() });
    this.setMatchmaking(locked ? { metadata, locked } : { metadata }).catch((error: unknown) =>
      this.services.log.warn({ err: error }, 'room listing not updated'),
    );
  }

  // How a match ends -------------------------------------------------------------------------------------------

  async #end(reason: 'completed' | 'abandoned'): Promise<void> {
    this.#ending = reason;
    this.plugins.tick.stop();
    try {
      this.#publish();
      const { standings } = this.#conclude();
      // A disk that hangs must not hold the players: the journal goes on by itself.
      await Promise.race([this.#finish(reason), after(ARCHIVE_SECONDS, undefined)]);
      // Told only when it can be opened; empty for a match that was not recorded.
      const isArchived = await Promise.race([this.plugins.journal.archived, after(ARCHIVE_SECONDS, false)]);
      const replayId = isArchived ? this.matchId : '';
      this.announce('match-ended', { standings: standings.map((row) => this.#published(row)), replayId });
    } catch (error) {
      this.#giveUp(error, 'end');
      return;
    }
    await this.disconnect(CLOSE.MATCH_ENDED);
  }

  /** How the match came out, as it stands when this is first asked. */
  #conclude(): Verdict {
    if (this.#verdict === undefined) {
      const standings = this.sim.standings(this.world);
      this.#verdict = { standings, participants: this.#roster.participants(this.sim.tickOf(this.world), standings) };
    }
    return this.#verdict;
  }

  /** Hands the match over to be written down, once; resolves when its end is durable or cannot become so. */
  async #finish(reason: EndReason): Promise<void> {
    // Who left since the last tick left.
    const { pendingEvents: events } = this.#seats.table;
    if (this.#verdict === undefined) {
      this.#roster.note({ tick: this.sim.tickOf(this.world), events }, () => this.sim.standings(this.world));
    }
    await this.plugins.journal.finish(this.world, { reason, ...this.#conclude() });
  }

  /** As the replay has it: other players learn nobody's id. */
  #published(row: Standing): Standing {
    return { ...row, playerId: this.services.replays.pseudonym(row.playerId) };
  }

  #fail(error: unknown, phase: string): void {
    if (this.#ending === 'running' || this.#ending === 'shutdown') this.#giveUp(error, phase);
  }

  /** A bug ends this room only; its journal stays for inspection. */
  #giveUp(error: unknown, phase: string): void {
    this.#ending = 'failed';
    this.services.totals.room.faults.add(phase);
    this.services.totals.room.matchesFailed.add(this.#track);
    this.services.log.error({ err: error, phase, tick: this.#entry.tick }, 'match failed');
    this.announce('notice', { code: 'MATCH_FAILED' });
    void this.disconnect(CLOSE.MATCH_FAILED);
  }

  // Answers ----------------------------------------------------------------------------------------------------

  /** Declares a client command: bounded and validated, then answered or refused by code, never thrown. */
  protected command<S extends z.ZodType>(shape: S, run: (client: Player, input: z.output<S>) => unknown) {
    return async (client: Player, payload: unknown, ctx?: MessageContext): Promise<unknown> => {
      try {
        this.#budgets.spend(client.sessionId, this.clock.elapsedTime);
        const parsed = shape.safeParse(payload);
        if (!parsed.success) {
          throw new GameError('INVALID_INPUT', { at: parsed.error.issues[0]?.path.join('.') ?? '' });
        }
        return await run(client, parsed.data);
      } catch (error) {
        if (error instanceof GameError) return this.#refuse(client, ctx, error.code, error.detail);
        this.onUncaughtException(error as Error, 'command');
        // Rethrown, it would reach the caller as OK.
        return this.#refuse(client, ctx, 'INTERNAL', {});
      }
    };
  }

  #refuse(client: Player, ctx: MessageContext | undefined, code: RefusalCode, detail: object): unknown {
    this.services.totals.room.refusals.add(code);
    if (ctx?.id !== undefined) return ctx.reject({ ...detail, code });
    client.send('notice', { ...detail, code });
    return undefined;
  }
}

/**
 * What a match of this room type needs to go on in another process.
 * @throws TypeError for a class that is no `GameRoom`
 */
export function compatibilityOf(roomClass: new () => Room): Compatibility {
  const room: unknown = new roomClass();
  if (!(room instanceof GameRoom)) throw new TypeError(`${roomClass.name} is no GameRoom`);
  return room.compatibility;
}
