/**
 * The one base class of rooms. It joins the parts (simulation, tick loop, input discipline, interest,
 * journal, ping) and holds what every game needs: seats, drop and resume, coded answers, and faults
 * that touch nobody else. It has no rule of any game.
 */
import {
  type Client,
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
import { CLOSE, GameError, type ErrorCode as RefusalCode } from '../src/kernel/errors.ts';
import type { EndReason, Participant } from '../src/kernel/match-header.ts';
import type { MatchSetup, SeatEvent, SeatIntent, Simulation, Standing } from '../src/kernel/simulation.ts';
import type { InputLayout } from '../src/match/client-frame.ts';
import { expectInputs, inputLayoutOf } from '../src/match/colyseus-internals.ts';
import { CommandBudgets } from '../src/match/command-budgets.ts';
import { HotSerializer } from '../src/match/hot-serializer.ts';
import { INPUT_QUEUE_MAX, InputPlugin } from '../src/match/input-plugin.ts';
import { type InterestOptions, InterestPlugin } from '../src/match/interest-plugin.ts';
import { JournalPlugin } from '../src/match/journal-plugin.ts';
import { PingPlugin } from '../src/match/ping-plugin.ts';
import { Roster } from '../src/match/roster.ts';
import { type Seat, SeatTable } from '../src/match/seat-table.ts';
import { TickPlugin } from '../src/match/tick-plugin.ts';
import { checkName, guestName } from '../src/sessions/names.ts';
import type { Admitted } from '../src/sessions/tokens.ts';
import type { Revoked, RoomMetadata, RoomServices, Vacancies } from './room-services.ts';

export type { Revocations, Revoked, RoomLog, RoomMetadata, RoomServices, RoomSettings } from './room-services.ts';

/** Seconds in which a dropped player may come back to its seat. */
const RECONNECT_SECONDS = 60;
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

export interface GameRoomTypes {
  // biome-ignore lint/suspicious/noExplicitAny: Room's own constraint on its state
  state: any;
  input: Schema;
}

export type Player = Client<{ auth: Admitted }>;

/**
 * How far a room is on its way out. `running`: the match goes on. The others say how it ends, from the moment that is
 * certain: nobody joins any more. `shutdown`: the framework shows everybody out, at a drain or for an operator, while
 * the match goes on until the last has left.
 */
type Ending = 'running' | EndReason | 'failed';

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

/** Those that a bug of a game must not leave unnoticed. */
const GUARDED_HOOKS = ['onJoin', 'onLeave', 'onDrop', 'onReconnect', 'onDispose'] as const;

const count = z.int().min(0).max(100_000);
/** What a client tells of its prediction, counted since its last report. */
const predictionReport = z.strictObject({ corrections: count, desyncs: count, maxErrorUnits: count, ticks: count });

/** Resolves by the process's clock: a room's own stands still once its loop has stopped. */
function after<T>(seconds: number, value: T): Promise<T> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000, value).unref());
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
  #seats!: SeatTable;
  readonly #roster = new Roster();
  /** Sessions whose old socket is being closed because a new one takes its place. */
  readonly #replacing = new Set<string>();
  readonly #budgets = new CommandBudgets();
  /** When a socket was given its seat, by the room's clock, ms; until the client has acknowledged it. */
  readonly #unacknowledged = new Map<Player, number>();
  /** Seats that are held for who lost its connection, by session: what gives one up. */
  readonly #held = new Map<string, { readonly signIn: string | undefined; readonly giveUp: () => void }>();
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
      this.onUncaughtException(error as Error, hook);
      if (hook === 'onJoin' || hook === 'onReconnect') {
        throw new ServerError(ErrorCode.APPLICATION_ERROR, new GameError('INTERNAL').message);
      }
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
  /** The state before tick 0. */
  protected abstract createState(world: World): T['state'];
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
  /** Minutes that a match may wait for players. */
  protected readonly waitMinutesMax: number = WAIT_MINUTES_MAX;

  /** Seats that players may be queued for, by team, and who plays in which; a game with teams says more. */
  protected vacancies(): Vacancies {
    const players = [...this.#seats.taken()]
      .filter(({ isBot }) => !isBot)
      .map(({ playerId }) => ({ playerId, team: 0 }));
    return { freeSeats: [Math.max(0, this.maxClients - players.length)], players };
  }

  /** Whether the seat's player has a connection; true for bots. */
  protected isConnected(seat: number): boolean {
    return this.#seats.at(seat)?.isConnected ?? false;
  }

  /** Smoothed round trip of the seat's player, ms; 0 for bots and before the first measurement. */
  protected rttMsOf(seat: number): number {
    const found = this.#seats.at(seat);
    return found === undefined || found.isBot ? 0 : (this.plugins.ping.get(found.sessionId)?.rttMs ?? 0);
  }

  /** The session that holds the seat, with a connection or without; empty for bots and free seats. */
  protected sessionIdOf(seat: number): string {
    return this.#seats.at(seat)?.sessionId ?? '';
  }

  /** The connected client in the seat, if there is one. */
  protected clientOf(seat: number): Player | undefined {
    const found = this.#seats.at(seat);
    return found === undefined || found.isBot ? undefined : this.clients.getById(found.sessionId);
  }

  // Life of the room -------------------------------------------------------------------------------------------

  /** The framework calls this when it is given a state, before it encodes any of it. */
  override setSerializer(): void {
    super.setSerializer(new HotSerializer(this.plugins.interest));
  }

  override async onCreate(options: { services: RoomServices }): Promise<void> {
    const { services } = options;
    const { sim } = this;
    const { tickRateHz } = services.settings;
    this.services = services;
    this.matchId = services.newMatchId();
    const setup = this.setupMatch(services.newSeed());
    this.world = sim.create(setup);
    this.maxClients = Math.min(services.settings.maxPlayers, sim.maxSeats);
    this.#seats = new SeatTable(this.maxClients);
    this.state = this.createState(this.world);
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
    this.plugins.interest.countInto(services.totals.interest);
    this.plugins.ping.countInto(services.totals.ping);
    await this.plugins.journal.begin({
      sim,
      journal: services.journal,
      settler: services.settler,
      header: {
        matchId: this.matchId,
        simId: sim.id,
        simVersion: sim.version,
        tickRateHz,
        roomName: this.roomName,
        buildId: services.settings.buildId,
        setup,
        createdAtMs: Date.now(),
      },
      world: this.world,
      onFault: (error) =>
        services.log.error({ err: error, matchId: this.matchId }, 'journal degraded: match goes on unrecorded'),
    });
    this.#publish();
    this.#stopRevocations = services.revocations?.onRevoked((revoked) => this.#throwOut(revoked)) ?? (() => {});
    this.plugins.tick.start({
      scheduler: services.scheduler,
      totals: services.totals.tick,
      rateHz: tickRateHz,
      patchEveryTicks: services.settings.patchEveryTicks,
      firstTick: sim.tickOf(this.world),
      phases: {
        inputs: (tick) => this.#collect(tick),
        step: () => this.#step(),
        project: (tick) => this.#project(tick),
        patch: (tick) => this.#patch(tick),
      },
      onFault: (error, phase) => this.#fail(error, phase),
    });
    services.log.info({ matchId: this.matchId, roomId: this.roomId, room: this.roomName }, 'match created');
  }

  override onJoin(client: Player, options: { name?: unknown } | undefined): void {
    try {
      this.#join(client, options?.name);
    } catch (error) {
      if (!(error instanceof GameError)) throw error;
      this.services.totals.room.joinsRefused.add(error.code);
      // The wire carries a number and a text: the code leads the text.
      throw new ServerError(ErrorCode.APPLICATION_ERROR, error.message);
    }
  }

  #join(client: Player, wantedName: unknown): void {
    // The class that is registered carries the static onAuth; without it nobody may play.
    if (client.auth === undefined) throw new GameError('AUTH_MISSING');
    const { playerId } = client.auth;
    if (this.#ending === 'shutdown') throw new GameError('DRAINING');
    if (this.#isShut) throw new GameError('MATCH_ENDED');
    // It may have ended after the seat was reserved.
    this.services.revocations?.check(client.auth.signInId);
    if (this.#seats.ofPlayer(playerId) !== undefined) throw new GameError('SEAT_TAKEN');
    const name = wantedName === undefined ? guestName(playerId) : checkName(wantedName);
    const seat = this.#seats.take({ isBot: false, name, playerId, sessionId: client.sessionId });
    if (seat === undefined) throw new GameError('MATCH_FULL');
    this.#admit(client, seat);
    this.services.totals.room.joins++;
  }

  /**
   * A player who comes back before the loss of its old socket was noticed, as with a reload of the page: the framework
   * then closes that socket as if for a fault, and it must not count as thrown out.
   */
  override checkReconnectionToken(reconnectionToken: string): string {
    const stale = this.clients.find((client) => client.reconnectionToken === reconnectionToken);
    if (stale === undefined) return super.checkReconnectionToken(reconnectionToken);
    this.#replacing.add(stale.sessionId);
    const sessionId = super.checkReconnectionToken(reconnectionToken);
    // The framework leaves it open, deaf, for as long as its client likes.
    stale.leave(CloseCode.WITH_ERROR);
    return sessionId;
  }

  override onDrop(client: Player, code?: number): Promise<void> | undefined {
    const seat = this.#seats.ofSession(client.sessionId);
    if (seat !== undefined) seat.isConnected = false;
    const isReplaced = this.#replacing.delete(client.sessionId);
    // A client that was thrown out does not hold a seat: only a lost connection does.
    if (this.#ending !== 'running' || (THROWN_OUT.has(code ?? 0) && !isReplaced)) return undefined;
    this.services.totals.room.drops++;
    const resumed = this.allowReconnection(client, 'manual');
    // The framework's own timer would outlive the room, and hold the process, for the rest of the time.
    const giveUp = (): void => void resumed.reject(false);
    const timer = this.clock.setTimeout(giveUp, RECONNECT_SECONDS * 1000);
    this.#held.set(client.sessionId, { signIn: client.auth?.signInId, giveUp });
    const end = (): void => {
      timer.clear();
      this.#held.delete(client.sessionId);
    };
    return resumed.then(end, end);
  }

  override onReconnect(client: Player): void {
    const seat = this.#seats.ofSession(client.sessionId);
    if (seat === undefined) throw new Error(`session ${client.sessionId} resumed without a seat`);
    seat.isConnected = true;
    this.services.totals.room.resumes++;
    this.#admit(client, seat);
  }

  override onLeave(client: Player): void {
    this.#budgets.forget(client.sessionId);
    const seat = this.#seats.ofSession(client.sessionId);
    if (seat === undefined) return;
    this.plugins.input.unseat(seat.index);
    this.#seats.vacate(seat);
  }

  /** A sign-in ended: its client is shown out and cannot come back; nobody else notices. */
  #throwOut({ sessionId, code }: Revoked): void {
    for (const client of this.clients) {
      if (client.auth?.signInId !== sessionId) continue;
      this.services.log.info({ matchId: this.matchId, playerId: client.auth.playerId, code }, 'thrown out');
      this.kickClient(client.sessionId, code === 'ACCOUNT_BANNED' ? CLOSE.BANNED : CLOSE.SIGNED_OUT, code);
    }
    for (const held of this.#held.values()) if (held.signIn === sessionId) held.giveUp();
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
    this.#stopRevocations();
    this.services?.seeking?.end(this.matchId);
    if (this.#ending === 'running') this.#ending = 'abandoned';
    if (this.#ending !== 'failed') {
      try {
        // Left, or drained, while everybody looked at the result: it was played.
        if (this.isDecided(this.world)) this.#ending = 'completed';
        await this.#finish(this.#ending);
      } catch (error) {
        // Not thrown on: plugins, whose turn is after this, must let go of what they hold.
        this.onUncaughtException(error as Error, 'onDispose');
      }
    }
    this.services.log.info({ matchId: this.matchId, roomId: this.roomId, ending: this.#ending }, 'match disposed');
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

  /** Ends sockets that took a seat and never said that they are there. */
  #dropSilent(): void {
    for (const [client, admittedAtMs] of this.#unacknowledged) {
      if (client.state !== ClientState.JOINING) {
        this.#unacknowledged.delete(client);
      } else if (this.clock.elapsedTime - admittedAtMs > JOIN_ACK_SECONDS * 1000) {
        this.#unacknowledged.delete(client);
        this.services.totals.room.joinsRefused.add('JOIN_TIMEOUT');
        this.kickClient(client.sessionId, CloseCode.WITH_ERROR, 'JOIN_TIMEOUT');
      }
    }
  }

  /** Connects a socket to its seat: at a join and again after every resume. */
  #admit(client: Player, seat: Seat): void {
    expectInputs(client, this.#inputLayout);
    this.plugins.input.seat(client.sessionId, seat.index);
    this.plugins.journal.session({
      kind: 'seated',
      seat: seat.index,
      sessionId: client.sessionId,
      playerId: seat.playerId,
      // Its join is in an entry that may not be written yet: another process could not seat it without.
      name: seat.name,
      isAnonymous: client.auth?.isAnonymous ?? true,
    });
    this.#unacknowledged.set(client, this.clock.elapsedTime);
    client.send('welcome', { seat: seat.index, matchId: this.matchId });
    this.onSeated(client, seat.index);
  }

  // One tick ---------------------------------------------------------------------------------------------------

  #collect(tick: number): void {
    const fillTo = Math.min(this.services.settings.botsFillTo, this.maxClients);
    if (this.think !== undefined && !this.isClosed(this.world)) this.#seats.stepBots(fillTo);
    const intents: SeatIntent<Intent>[] = [];
    this.plugins.input.collect(tick, intents);
    if (this.think !== undefined) {
      let hasBots = false;
      for (const seat of this.#seats.taken()) {
        if (!seat.isBot || seat.isLeaving) continue;
        hasBots = true;
        intents.push({ seat: seat.index, intent: this.think(this.world, seat.index) });
      }
      if (hasBots) intents.sort((a, b) => a.seat - b.seat);
    }
    this.#entry = { tick, events: this.#seats.takeEvents(), intents };
  }

  #step(): void {
    const { sim, world } = this;
    this.#roster.note(this.#entry, () => sim.standings(world));
    sim.step(world, this.#entry);
    this.plugins.journal.record(this.#entry, world);
    this.#seats.free(this.#entry.events);
  }

  #project(tick: number): void {
    this.project(this.world, tick);
    const { tickRateHz } = this.services.settings;
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
  }

  /** Nobody may join any more. */
  get #isShut(): boolean {
    return this.#ending !== 'running' || this.isClosed(this.world);
  }

  /** Not once the framework has taken the room off its list. */
  #publish(): void {
    const stats = this.plugins.tick.snapshot();
    const metadata: RoomMetadata = {
      matchId: this.matchId,
      phase: this.phaseOf(this.world),
      tick: this.sim.tickOf(this.world),
      tickP99Ms: Math.round((stats?.p99Ms ?? 0) * 100) / 100,
      overruns: stats?.overruns ?? 0,
      bots: [...this.#seats.taken()].filter(({ isBot }) => isBot).length,
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
      this.broadcast('match-ended', { standings: standings.map((row) => this.#published(row)), replayId });
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
    const { pendingEvents: events } = this.#seats;
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
    this.services.log.error({ err: error, phase, matchId: this.matchId, tick: this.#entry.tick }, 'match failed');
    this.broadcast('notice', { code: 'MATCH_FAILED' });
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
