/** One match as its player sees it: joins the room's state, the prediction, the controls and what is drawn. */
import { Callbacks, type InputHandle, Predict } from '@colyseus/sdk';
import type { ArenaInput } from '../../../schema/arena-input.ts';
import {
  type ArenaState,
  AVATAR_FLAGS,
  type Avatar,
  type Explosion,
  type Kill,
  NOBODY,
  PHASES,
  type Rocket,
  WEAPONS,
} from '../../../schema/arena-state.ts';
import { CLOSE } from '../../../src/kernel/errors.ts';
import { type ArenaMap, arenaMap, MAP_NAMES, type MapName } from '../../../src/sim/map.ts';
import { PICKUP_KINDS, UNITS_PER_METRE } from '../../../src/sim/tuning.ts';
import { radiansOf, type Wish } from '../controls/controls.ts';
import { KeyboardMouse } from '../controls/keyboard-mouse.ts';
import { TouchSticks } from '../controls/touch-sticks.ts';
import type { Painter } from '../draw/painter.ts';
import { fighterColour } from '../draw/palette.ts';
import { ARENA_PROPORTIONS } from '../draw/proportions.ts';
import type { FighterView, RocketView, Scene } from '../draw/scene.ts';
import { element } from '../hud/element.ts';
import { Hud, ordinal } from '../hud/hud.ts';
import { compareScores, type ScoreLine } from '../hud/scoreboard.ts';
import { type ArenaRoom, forgetSeat, keepSeat } from '../net/joining.ts';
import { LateEvents } from '../net/late-events.ts';
import { NetMeter } from '../net/net-meter.ts';
import { Prediction } from '../net/prediction.ts';
import { codeIn, sentenceFor, sentenceOf } from '../net/sentences.ts';
import type { MatchFacts, PredictionFacts } from '../probe-facts.ts';
import { OwnRifle, traceShot } from './rifle.ts';
import { ServerTick } from './server-tick.ts';

/** How far in the past others are drawn, so that two patches lie around the drawn moment. */
const INTERPOLATION_MS = 100;
/** A jump longer than this is no movement and is not drawn as one. */
const SNAP_UNITS = 4 * UNITS_PER_METRE;
const REPORT_MS = 5000;
const PING_MS = 2000;
const HUD_MS = 200;
const NEXT_MATCH_MS = 6000;
const HIT_MARK_MS = 140;
const PHASE_ENDED = PHASES.indexOf('ended');
const PHASE_NAMES: Readonly<Record<string, string>> = { 'warm-up': 'Warm-up', live: 'Live', ended: 'Over' };

/** How a match left the player. */
export type MatchEnd =
  | { readonly kind: 'next' }
  /** Back to the door, with a sentence if something went wrong. */
  | { readonly kind: 'door'; readonly sentence: string };

/** A seat's avatar with what must be unsubscribed when it goes out of view. */
interface Shown {
  readonly avatar: Avatar;
  readonly view: FighterView;
  readonly unlisten: () => void;
}

export class MatchScreen {
  readonly #room: ArenaRoom;
  readonly #painter: Painter;
  readonly #predict: Predict<ArenaState>;
  readonly #callbacks;
  readonly #meter = new NetMeter();
  readonly #late = new LateEvents();
  readonly #rifle = new OwnRifle();
  readonly #hud: Hud;
  readonly #keys: KeyboardMouse;
  readonly #touch: TouchSticks;
  readonly #end: (end: MatchEnd) => void;
  readonly #shown = new Map<string, Shown>();
  readonly #rockets = new Map<string, { rocket: Rocket; view: RocketView }>();
  readonly #scene: Scene = { fighters: [], rockets: [], pickups: [] };
  readonly #targetedAtMs = new Map<number, number>();

  #input: InputHandle<ArenaInput> | undefined;
  #prediction: Prediction | undefined;
  #serverTick: ServerTick | undefined;
  #map: ArenaMap | undefined;
  #seat: number;
  #connection: MatchFacts['connection'] = 'open';
  #isOver = false;
  #isBoardHeld = false;
  #isBoardPinned = false;
  #replayId = '';
  #nextMatchAtMs = 0;
  #aim = 0;
  #framedAtMs = 0;
  #hudAtMs = 0;
  #reportedAtMs = 0;
  #pingedAtMs = 0;
  #hitUntilMs = 0;
  #droppedAtMs = 0;
  #lastPhase = -1;
  #isCameraPlaced = false;
  #shotsSeen = 0;
  #explosionsSeen = 0;
  #isDisposed = false;

  /**
   * Takes the room over at once: its first messages arrive as soon as the caller returns to the event loop.
   * @param seat own seat where it is known already, as after a reload; -1 until the room says `welcome`
   * @param end called once, when this match is over for the player
   */
  constructor(room: ArenaRoom, seat: number, painter: Painter, parent: HTMLElement, end: (end: MatchEnd) => void) {
    this.#room = room;
    this.#seat = seat;
    this.#painter = painter;
    this.#end = end;
    room.reconnection.minUptime = 0;
    // Often enough that the room's minute is used to its end.
    room.reconnection.maxRetries = 60;
    room.reconnection.maxDelay = 1500;
    this.#hud = new Hud(
      () => {
        this.#isBoardPinned = !this.#isBoardPinned;
      },
      () => this.#hud.netGraph.toggle(),
    );
    parent.append(this.#hud.root);
    const canvas = painter.canvas;
    this.#keys = new KeyboardMouse(canvas, {
      scoreboard: (isHeld) => {
        this.#isBoardHeld = isHeld;
      },
      netGraph: () => this.#hud.netGraph.toggle(),
    });
    this.#touch = new TouchSticks(canvas, parent);
    this.#fillBoardFoot();
    this.#predict = Predict.get(room, {
      mode: 'lerp',
      delay: INTERPOLATION_MS,
      snap: SNAP_UNITS,
    }) as Predict<ArenaState>;
    this.#callbacks = Callbacks.get(room);
    this.#listen();
    this.#observe();
    document.body.classList.add('is-playing');
  }

  // Facts for the probe ----------------------------------------------------------------------------------------

  get connection(): MatchFacts['connection'] {
    return this.#connection;
  }
  get seat(): number {
    return this.#seat;
  }
  get matchId(): string {
    return this.#room.state?.matchId ?? '';
  }
  get phase(): string {
    return PHASES[this.#room.state?.phase ?? 0] ?? '';
  }
  get fighters(): readonly FighterView[] {
    return this.#scene.fighters;
  }
  get prediction(): PredictionFacts | undefined {
    return this.#prediction?.facts;
  }
  get meter(): NetMeter {
    return this.#meter;
  }
  /** Tracers and explosions shown so far. */
  get effectsSeen(): { readonly shots: number; readonly explosions: number } {
    return { shots: this.#shotsSeen, explosions: this.#explosionsSeen };
  }
  get vitals(): { hp: number; ammo: number; rockets: number; isAlive: boolean } | undefined {
    const avatar = this.#prediction?.avatar;
    if (avatar === undefined) return undefined;
    const { hp, ammo, rockets } = avatar;
    return { hp, ammo, rockets, isAlive: (avatar.flags & AVATAR_FLAGS.ALIVE) !== 0 };
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    document.body.classList.remove('is-playing');
    this.#keys.dispose();
    this.#touch.dispose();
    for (const shown of this.#shown.values()) shown.unlisten();
    this.#prediction?.dispose();
    this.#predict.dispose();
    this.#hud.root.remove();
  }

  // What the room says -----------------------------------------------------------------------------------------

  #listen(): void {
    const room = this.#room;
    room.onMessage('welcome', ({ seat }: { seat: number; matchId: string }) => {
      this.#seat = seat;
      this.#keep();
      const shown = this.#shown.get(String(seat));
      if (shown !== undefined) this.#adoptOwn(shown.avatar);
    });
    room.onMessage('notice', ({ code }: { code: string }) => {
      this.#hud.notice(sentenceFor(code), performance.now(), 5000);
    });
    room.onMessage('match-ended', ({ replayId }: { replayId: string }) => {
      this.#replayId = replayId;
    });
    room.onDrop(() => {
      if (this.#connection !== 'reconnecting') this.#droppedAtMs = performance.now();
      this.#connection = 'reconnecting';
    });
    room.onReconnect(() => {
      this.#connection = 'open';
      this.#meter.restart();
      this.#rifle.reset();
      this.#prediction?.noteCause();
      this.#hud.clearNotice();
      this.#hud.notice('You are back.', performance.now(), 1800);
      // The SDK stores the rotated token right after this signal.
      queueMicrotask(() => this.#keep());
    });
    room.onLeave((code, reason) => this.#left(code, reason));
    room.onError((code, message) => {
      // The sockets of a lost connection fail too, again and again; the notice about that says all.
      if (codeIn(message) !== undefined) this.#hud.notice(sentenceOf({ code, message }), performance.now(), 6000);
    });
    this.#measureFrames();
  }

  /** Counts bytes where they arrive: the SDK has no signal for frames. */
  #measureFrames(): void {
    const { events } = this.#room.connection;
    const decode = events.onmessage;
    events.onmessage = (event: MessageEvent) => {
      const size: unknown = event.data?.byteLength;
      if (typeof size === 'number') this.#meter.frame(performance.now(), size);
      decode?.call(events, event);
    };
  }

  #keep(): void {
    if (this.#seat >= 0 && !this.#isOver) keepSeat(this.#room.reconnectionToken, this.#seat);
  }

  #observe(): void {
    const callbacks = this.#callbacks;
    this.#predict.attachAll('avatars', { fields: ['x', 'y'] });
    this.#predict.attachAll('rockets', { fields: ['x', 'y'] });
    callbacks.onAdd('avatars', (avatar, key) => this.#avatarAdded(avatar as Avatar, String(key)));
    callbacks.onRemove('avatars', (_avatar, key) => this.#avatarRemoved(String(key)));
    callbacks.onAdd('rockets', (rocket, key) => {
      const { seat, vx, vy } = rocket as Rocket;
      this.#rockets.set(String(key), {
        rocket: rocket as Rocket,
        view: { x: 0, y: 0, angle: Math.atan2(vy, vx), seat },
      });
    });
    callbacks.onRemove('rockets', (_rocket, key) => {
      this.#rockets.delete(String(key));
    });
    this.#observeEvents<Kill>('kills', (kill) => this.#kill(kill));
    this.#observeEvents<Explosion>('explosions', ({ x, y }) => this.#explosion(x, y));
  }

  /** Calls back for what happens from now on in a list whose places are used again and again. */
  #observeEvents<Event extends Kill | Explosion>(list: 'kills' | 'explosions', happened: (event: Event) => void): void {
    this.#callbacks.onAdd(list, (place) => {
      const event = place as unknown as Event;
      let known = event.number;
      this.#callbacks.listen(
        event as Kill,
        'number',
        (number: number) => {
          if (number === known) return;
          known = number;
          happened(event);
        },
        false,
      );
    });
  }

  #avatarAdded(avatar: Avatar, key: string): void {
    this.#avatarRemoved(key);
    const view: FighterView = {
      seat: avatar.seat,
      name: avatar.name,
      isBot: avatar.isBot,
      isOwn: false,
      isAlive: false,
      isProtected: false,
      isDashing: false,
      isConnected: true,
      hp: avatar.hp,
      x: 0,
      y: 0,
      aim: 0,
    };
    let shots = avatar.shots;
    const unlisten = this.#callbacks.listen(
      avatar,
      'shots',
      (now: number) => {
        const isNew = now !== shots;
        shots = now;
        if (isNew && avatar.seat !== this.#seat) this.#shotOf(avatar, view);
      },
      false,
    );
    this.#shown.set(key, { avatar, view, unlisten });
    if (avatar.seat === this.#seat) this.#adoptOwn(avatar);
  }

  #avatarRemoved(key: string): void {
    const shown = this.#shown.get(key);
    if (shown === undefined) return;
    shown.unlisten();
    this.#shown.delete(key);
    if (this.#prediction?.avatar === shown.avatar) {
      this.#prediction.dispose();
      this.#prediction = undefined;
    }
  }

  /** The own avatar is here: from now on it is predicted. */
  #adoptOwn(avatar: Avatar): void {
    if (this.#prediction?.avatar === avatar) return;
    this.#prediction?.dispose();
    const map = this.#ground();
    this.#input ??= this.#room.input<ArenaInput>({ mode: 'reliable', renderDelay: INTERPOLATION_MS });
    const stepMs = this.#input.stepMs ?? 1000 / this.#room.state.tickRateHz;
    this.#prediction = new Prediction(
      this.#predict,
      this.#input,
      avatar,
      map,
      stepMs,
      this.#room.clock,
      () => this.#room.state.phase !== PHASE_ENDED,
    );
    this.#prediction.onCorrection = () => this.#meter.correction(performance.now());
    this.#serverTick ??= new ServerTick(this.#input.tickRate ?? this.#room.state.tickRateHz);
  }

  #ground(): ArenaMap {
    if (this.#map === undefined) {
      const { map, seed, mapWidth, mapHeight } = this.#room.state;
      const name: MapName = MAP_NAMES.find((known) => known === map) ?? 'colosseum';
      this.#map = arenaMap(name, seed, mapWidth, mapHeight);
      this.#painter.map = this.#map;
    }
    return this.#map;
  }

  // What happens -----------------------------------------------------------------------------------------------

  #nameOf(seat: number): string {
    return (
      this.#room.state.scores.get(String(seat))?.name ?? this.#shown.get(String(seat))?.avatar.name ?? `Seat ${seat}`
    );
  }

  #kill({ killer, victim, assist, weapon }: Kill): void {
    const nowMs = performance.now();
    const isSuicide = killer === victim;
    const helper = assist !== NOBODY ? ` + ${this.#nameOf(assist)}` : '';
    const how = isSuicide ? 'fell to their own rocket' : (WEAPONS[weapon] ?? '');
    const isOwn = killer === this.#seat || victim === this.#seat;
    if (isSuicide) this.#hud.feed.add(nowMs, this.#nameOf(victim), '', how, isOwn);
    else this.#hud.feed.add(nowMs, this.#nameOf(killer) + helper, this.#nameOf(victim), how, isOwn);
  }

  #explosion(x: number, y: number): void {
    const atX = x / UNITS_PER_METRE;
    const atY = y / UNITS_PER_METRE;
    this.#late.add(this.#room.clock.lastServerTime(), () => {
      this.#explosionsSeen++;
      this.#painter.effects.explosion(atX, atY, ARENA_PROPORTIONS.splashRadius);
      this.#painter.camera.shake(atX, atY, 0.4);
    });
    const own = this.#prediction?.body;
    // A blast that pushes us is a cause for a correction.
    if (own !== undefined && Math.hypot(own.x - x, own.y - y) < 2 * ARENA_PROPORTIONS.splashRadius * UNITS_PER_METRE) {
      this.#prediction?.noteCause();
    }
  }

  #shotOf(avatar: Avatar, view: FighterView): void {
    const aim = avatar.aim;
    this.#late.add(this.#room.clock.lastServerTime(), () => this.#tracer(avatar.seat, view.x, view.y, aim));
  }

  #tracer(seat: number, x: number, y: number, aim: number): number {
    if (this.#map === undefined) return -1;
    this.#shotsSeen++;
    const line = traceShot(this.#map, seat, x, y, aim, this.#scene.fighters);
    this.#painter.effects.tracer(line.x, line.y, line.toX, line.toY, fighterColour(seat, seat === this.#seat));
    return line.victim;
  }

  #left(code: number, reason: string | undefined): void {
    const wasOver = this.#isOver;
    this.#connection = 'closed';
    this.#isOver = true;
    forgetSeat();
    if (wasOver || this.#isDisposed) return;
    if (code === CLOSE.MATCH_ENDED) {
      this.#nextMatchAtMs = performance.now() + NEXT_MATCH_MS;
      this.#fillBoardFoot();
    } else {
      this.#end({ kind: 'door', sentence: code === 4000 ? '' : sentenceOf({ code, message: reason }) });
    }
  }

  /** Leaves on the player's own wish. */
  leave(): void {
    this.#isOver = true;
    forgetSeat();
    if (this.#connection === 'open') void this.#room.leave();
    this.#end({ kind: 'door', sentence: '' });
  }

  #fillBoardFoot(): void {
    const leave = element('button', { type: 'button', class: 'button-plain', text: 'Leave the arena' });
    leave.addEventListener('click', () => this.leave());
    const foot: (Node | string)[] = [leave];
    if (this.#replayId !== '') {
      const url = `?replay=${encodeURIComponent(this.#replayId)}`;
      foot.unshift(element('a', { href: url, target: '_blank', text: 'Watch the replay' }));
    }
    this.#hud.board.foot.replaceChildren(...foot);
  }

  // One frame --------------------------------------------------------------------------------------------------

  /** Draws one frame and sends the inputs that are due in it. @param nowMs the time stamp of the animation frame */
  frame(nowMs: number): void {
    const dtS = Math.min(0.1, this.#framedAtMs === 0 ? 0 : (nowMs - this.#framedAtMs) / 1000);
    this.#framedAtMs = nowMs;
    const { state } = this.#room;
    if (state?.matchId) {
      this.#ground();
      this.#watchPhase(state);
      this.#sendInputs(nowMs);
      const clock = this.#room.clock;
      this.#late.run(clock.serverNow() - INTERPOLATION_MS - clock.smoothedRtt() / 2);
      this.#layScene(state);
    }
    this.#placeCamera(dtS);
    this.#painter.draw(this.#scene, nowMs, dtS);
    this.#drawCrosshair(nowMs);
    this.#hud.refresh(nowMs);
    if (nowMs - this.#hudAtMs >= HUD_MS) {
      this.#hudAtMs = nowMs;
      this.#refreshHud(nowMs, state);
    }
    this.#hud.setVitals(this.#vitalsShown());
    this.#keepInTouch(nowMs);
    if (this.#nextMatchAtMs > 0 && nowMs >= this.#nextMatchAtMs) {
      this.#nextMatchAtMs = 0;
      this.#end({ kind: 'next' });
    }
  }

  #watchPhase(state: ArenaState): void {
    if (state.phase === this.#lastPhase) return;
    // The first phase seen began before we came; a later one begins now.
    if (this.#lastPhase >= 0) {
      this.#serverTick?.anchor(state.phaseTick, this.#room.clock.lastServerTime());
      this.#prediction?.noteCause();
    }
    this.#lastPhase = state.phase;
  }

  #sendInputs(nowMs: number): void {
    const steps = this.#predict.tick(nowMs);
    const input = this.#input;
    const prediction = this.#prediction;
    if (input === undefined || prediction === undefined) return;
    for (let i = 0; i < steps; i++) {
      const wish = this.#wish();
      if (wish.aim !== undefined) this.#aim = wish.aim;
      input.data.moveX = wish.moveX;
      input.data.moveY = wish.moveY;
      input.data.aim = this.#aim;
      input.data.buttons = wish.buttons;
      const seq = input.send();
      if (seq === 0) continue;
      prediction.noteSent(nowMs);
      if (!prediction.isMoving || !this.#rifle.pull(seq, wish.buttons, prediction.avatar.ammo)) continue;
      const { x, y } = prediction.body;
      const victim = this.#tracer(this.#seat, x / UNITS_PER_METRE, y / UNITS_PER_METRE, this.#aim);
      if (victim >= 0) this.#targetedAtMs.set(victim, nowMs);
    }
    this.#rifle.acknowledge(input.lastProcessed);
  }

  #wish(): Wish {
    const keys = this.#keys.take();
    if (!this.#touch.isUsed) return keys;
    const touch = this.#touch.take();
    if (keys.moveX !== 0 || keys.moveY !== 0) {
      touch.moveX = keys.moveX;
      touch.moveY = keys.moveY;
    }
    touch.buttons |= keys.buttons;
    if (this.#keys.hasPointer && touch.aim === undefined) touch.aim = keys.aim;
    return touch;
  }

  #layScene(state: ArenaState): void {
    const { fighters, rockets, pickups } = this.#scene;
    fighters.length = 0;
    for (const { avatar, view } of this.#shown.values()) {
      const { flags, hp } = avatar;
      if (hp < view.hp && avatar.seat !== this.#seat) this.#markHit(avatar.seat);
      view.name = avatar.name;
      view.isOwn = avatar.seat === this.#seat;
      view.isAlive = (flags & AVATAR_FLAGS.ALIVE) !== 0;
      view.isProtected = (flags & AVATAR_FLAGS.PROTECTED) !== 0;
      view.isDashing = (flags & AVATAR_FLAGS.DASHING) !== 0;
      view.isConnected = avatar.isBot || (flags & AVATAR_FLAGS.CONNECTED) !== 0;
      view.hp = hp;
      view.x = this.#predict.value(avatar, 'x') / UNITS_PER_METRE;
      view.y = this.#predict.value(avatar, 'y') / UNITS_PER_METRE;
      view.aim = radiansOf(view.isOwn ? this.#aim : avatar.aim);
      fighters.push(view);
    }
    rockets.length = 0;
    for (const { rocket, view } of this.#rockets.values()) {
      view.x = this.#predict.value(rocket, 'x') / UNITS_PER_METRE;
      view.y = this.#predict.value(rocket, 'y') / UNITS_PER_METRE;
      rockets.push(view);
    }
    let index = 0;
    for (const pickup of state.pickups) {
      const view = pickups[index] ?? { kind: 'health', x: 0, y: 0, isTaken: false };
      view.kind = PICKUP_KINDS[pickup.kind] ?? 'health';
      view.x = pickup.x / UNITS_PER_METRE;
      view.y = pickup.y / UNITS_PER_METRE;
      view.isTaken = pickup.isTaken;
      pickups[index++] = view;
    }
    pickups.length = index;
  }

  #markHit(seat: number): void {
    const atMs = this.#targetedAtMs.get(seat);
    const windowMs = this.#room.clock.smoothedRtt() + 250;
    if (atMs !== undefined && this.#framedAtMs - atMs < windowMs) this.#hitUntilMs = this.#framedAtMs + HIT_MARK_MS;
  }

  #placeCamera(dtS: number): void {
    const own = this.#scene.fighters.find((fighter) => fighter.isOwn);
    const { camera } = this.#painter;
    if (own === undefined) {
      if (!this.#isCameraPlaced && this.#map !== undefined) {
        camera.follow(this.#map.columns / 2, this.#map.rows / 2, 0, 0, dtS, true);
      }
      return;
    }
    const isMouse = this.#keys.hasPointer && !this.#touch.isUsed;
    const leanX = isMouse ? this.#keys.pointerX : Math.cos(own.aim) * 120;
    const leanY = isMouse ? this.#keys.pointerY : Math.sin(own.aim) * 120;
    // The pointer aims from the avatar, not from the middle of the screen that leans away from it.
    const isFar = Math.hypot(own.x - camera.x, own.y - camera.y) > 15;
    camera.follow(own.x, own.y, leanX, leanY, dtS, !this.#isCameraPlaced || isFar);
    this.#isCameraPlaced = true;
    this.#keys.originX = (own.x - camera.x) * camera.pxPerM;
    this.#keys.originY = (own.y - camera.y) * camera.pxPerM;
  }

  #drawCrosshair(nowMs: number): void {
    if (!this.#keys.hasPointer || this.#touch.isUsed || this.#hud.board.isOpen) return;
    this.#painter.drawCrosshair(this.#keys.pointerX, this.#keys.pointerY, nowMs < this.#hitUntilMs);
  }

  #vitalsShown(): { hp: number; ammo: number; rockets: number; dash: number } | undefined {
    const prediction = this.#prediction;
    if (prediction === undefined) return undefined;
    const { hp, ammo, rockets } = prediction.avatar;
    return { hp: prediction.isAlive ? hp : 0, ammo, rockets, dash: prediction.body.dash };
  }

  #refreshHud(nowMs: number, state: ArenaState | undefined): void {
    const tick = this.#serverTick?.at(this.#room.clock.serverNow()) ?? 0;
    this.#meter.refresh(nowMs, tick, this.#input?.pendingCount ?? 0);
    this.#hud.netGraph.refresh(nowMs, this.#meter);
    this.#tellConnection(nowMs);
    if (!state?.matchId) {
      this.#hud.announce('Entering the arena …');
      return;
    }
    const lines = this.#scoreLines(state);
    const ownAt = lines.findIndex((line) => line.isOwn);
    const leader = lines.find((line) => !line.isOwn);
    if (ownAt >= 0) {
      const own = lines[ownAt]!;
      const lead = leader === undefined ? '' : ` · ${leader.name} ${leader.frags}`;
      this.#hud.setRank(own.frags, `${ordinal(ownAt + 1)} of ${lines.length}${lead}`);
    }
    const secondsLeft = (state.phaseEndsTick - tick) / state.tickRateHz;
    const phase = PHASES[state.phase] ?? 'live';
    this.#hud.setClock(PHASE_NAMES[phase]!, this.#connection === 'closed' ? 0 : Math.max(0, secondsLeft));
    this.#announce(phase, secondsLeft, lines);
    const isOver = phase === 'ended' || this.#nextMatchAtMs > 0;
    const isOpen = this.#isBoardHeld || this.#isBoardPinned || isOver;
    this.#hud.board.show(isOpen);
    document.body.classList.toggle('is-playing', !isOpen);
    if (!isOpen) return;
    this.#hud.board.title = isOver ? this.#verdict(lines) : 'Scoreboard';
    this.#hud.board.fill(lines);
  }

  #verdict(lines: readonly ScoreLine[]): string {
    const winner = lines[0];
    const nextS = Math.max(0, Math.ceil((this.#nextMatchAtMs - this.#framedAtMs) / 1000));
    const next = this.#nextMatchAtMs > 0 ? ` · next match in ${nextS} s` : '';
    if (winner === undefined) return `The match is over${next}`;
    return `${winner.isOwn ? 'You have won' : `${winner.name} has won`}${next}`;
  }

  #announce(phase: string, secondsLeft: number, lines: readonly ScoreLine[]): void {
    const prediction = this.#prediction;
    if (this.#hud.board.isOpen || phase === 'ended') {
      this.#hud.announce('');
    } else if (prediction !== undefined && !prediction.isAlive) {
      this.#hud.announce('You are down', 'Back in a moment');
    } else if (phase === 'warm-up') {
      const isWaiting = secondsLeft <= 0 && lines.length < 2;
      this.#hud.announce(
        'Warm-up',
        isWaiting ? 'Waiting for another player' : `The match begins in ${Math.max(0, Math.ceil(secondsLeft))} s`,
      );
    } else {
      this.#hud.announce('');
    }
  }

  #tellConnection(nowMs: number): void {
    if (this.#connection !== 'reconnecting') return;
    const seconds = Math.round((nowMs - this.#droppedAtMs) / 1000);
    this.#hud.notice(
      `The connection is lost. Coming back … your seat is kept for a minute (${Math.max(0, 60 - seconds)} s left).`,
      nowMs,
      Number.POSITIVE_INFINITY,
    );
  }

  #scoreLines(state: ArenaState): ScoreLine[] {
    return [...state.scores.values()].sort(compareScores).map((score) => ({
      name: score.name,
      isBot: score.isBot,
      isOwn: score.seat === this.#seat,
      isAway: !score.isConnected,
      frags: score.frags,
      deaths: score.deaths,
      assists: score.assists,
      pingMs: score.pingMs,
    }));
  }

  #keepInTouch(nowMs: number): void {
    if (this.#connection !== 'open') return;
    if (nowMs - this.#pingedAtMs >= PING_MS) {
      this.#pingedAtMs = nowMs;
      this.#room.ping((ms) => this.#meter.roundTrip(ms));
    }
    if (nowMs - this.#reportedAtMs < REPORT_MS || this.#prediction === undefined) return;
    this.#reportedAtMs = nowMs;
    // Lost with a lost connection; the next report counts anew.
    this.#room.request('report', this.#prediction.takeReport()).catch(() => undefined);
  }
}
