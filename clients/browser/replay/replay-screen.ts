/** Watches a recorded match: plays, stops, jumps, follows a player, and proves the recording by its hashes. */
import { inflateRaw } from '../../../src/kernel/inflate.ts';
import { type Replay, unpackReplay } from '../../../src/kernel/replay-file.ts';
import { type ArenaIntent, type ArenaWorld, arena } from '../../../src/sim/arena.ts';
import { UNITS_PER_METRE } from '../../../src/sim/tuning.ts';
import type { Painter } from '../draw/painter.ts';
import { fighterColour } from '../draw/palette.ts';
import { ARENA_PROPORTIONS } from '../draw/proportions.ts';
import { element, setText } from '../hud/element.ts';
import { KillFeed } from '../hud/kill-feed.ts';
import { Scoreboard } from '../hud/scoreboard.ts';
import type { Verdict } from '../probe-facts.ts';
import { Timeline } from './timeline.ts';
import { scoreLinesOf, WorldScene } from './world-scene.ts';

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8] as const;
const JUMP_SECONDS = 10;
/** Time a frame may spend on checking hashes while the match plays, and while it does not. */
const SCOUT_MS = 5;
const SCOUT_IDLE_MS = 12;
/** Ticks played in one frame at most, so that a fast playback never freezes the page. */
const STEPS_PER_FRAME_MAX = 24;
const FREE_CAMERA = -1;

/** @throws GameError REPLAY_CORRUPT, REPLAY_VERSION; Error with a `code` from the server; TypeError when offline */
export async function fetchReplay(id: string): Promise<Replay> {
  const response = await fetch(`/api/replays/${encodeURIComponent(id)}`);
  if (!response.ok) {
    const text = await response.text();
    throw new Error(response.status === 404 ? 'REPLAY_NOT_FOUND' : text.slice(0, 200));
  }
  return unpackReplay(new Uint8Array(await response.arrayBuffer()), inflateRaw);
}

function timeText(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

export class ReplayScreen {
  readonly timeline: Timeline<ArenaWorld, ArenaIntent>;
  readonly #painter: Painter;
  readonly #canvas: HTMLCanvasElement;
  readonly #worldScene = new WorldScene();
  readonly #rateHz: number;
  readonly #hud = element('div', { class: 'hud' });
  readonly #feed = new KillFeed();
  readonly #board = new Scoreboard();
  readonly #scrubber: HTMLInputElement;
  readonly #playButton = element('button', { type: 'button', class: 'button-plain', text: 'Pause' });
  readonly #time = element('span', { class: 'number' });
  readonly #verdict = element('span', { class: 'verdict', role: 'status' });
  readonly #follow = element('select', { 'aria-label': 'Follow' });
  readonly #speed = element('select', { 'aria-label': 'Speed' });
  readonly #listeners = new AbortController();
  #isPlaying = true;
  #followed = FREE_CAMERA;
  #followOptions = '';
  /** Ticks into the next one, 0 to 1. */
  #part = 0;
  #framedAtMs = 0;
  #refreshedAtMs = 0;
  #freeX: number;
  #freeY: number;
  #isCameraPlaced = false;

  /** @throws GameError REPLAY_VERSION, REPLAY_CORRUPT */
  constructor(replay: Replay, painter: Painter, canvas: HTMLCanvasElement, parent: HTMLElement) {
    this.timeline = new Timeline(arena, replay);
    this.#painter = painter;
    this.#canvas = canvas;
    this.#rateHz = replay.header.tickRateHz;
    const { map } = this.timeline.world;
    painter.map = map;
    this.#freeX = map.columns / 2;
    this.#freeY = map.rows / 2;
    this.#scrubber = element('input', {
      type: 'range',
      min: '0',
      max: String(this.timeline.ticks),
      value: '0',
      step: '1',
      'aria-label': 'Position in the match',
    });
    this.#build(parent, replay);
    const firstPlayer = replay.header.players.find((player) => !player.isBot) ?? replay.header.players[0];
    this.#followed = firstPlayer?.seat ?? FREE_CAMERA;
    this.#worldScene.note(this.timeline.world);
  }

  get tick(): number {
    return this.timeline.tick;
  }
  get isPlaying(): boolean {
    return this.#isPlaying;
  }
  get verdict(): Verdict {
    return this.timeline.verdict;
  }

  dispose(): void {
    this.#listeners.abort();
    this.#hud.remove();
  }

  #build(parent: HTMLElement, replay: Replay): void {
    const options = { signal: this.#listeners.signal };
    const button = (text: string, label: string, act: () => void) => {
      const made = element('button', { type: 'button', class: 'button-plain', 'aria-label': label, text });
      made.addEventListener('click', act, options);
      return made;
    };
    this.#playButton.addEventListener('click', () => this.#play(!this.#isPlaying), options);
    this.#scrubber.addEventListener('input', () => this.#jump(Number(this.#scrubber.value)), options);
    for (const speed of SPEEDS) this.#speed.append(element('option', { value: String(speed), text: `${speed} ×` }));
    this.#speed.value = '1';
    this.#follow.addEventListener(
      'change',
      () => {
        this.#followed = Number(this.#follow.value);
        this.#isCameraPlaced = false;
      },
      options,
    );
    const { header } = replay;
    this.#board.title = 'Scoreboard';
    const when = new Date(header.createdAtMs).toLocaleString();
    setText(this.#board.foot, `${header.setup['map'] ?? header.simId} · ${when} · match ${header.matchId}`);
    const row = element('div', { class: 'player-row' }, [
      button('−10 s', 'Ten seconds back', () => this.#jump(this.tick - JUMP_SECONDS * this.#rateHz)),
      this.#playButton,
      button('+10 s', 'Ten seconds on', () => this.#jump(this.tick + JUMP_SECONDS * this.#rateHz)),
      this.#time,
      this.#speed,
      this.#follow,
      button('Scores', 'Scoreboard', () => this.#board.show(!this.#board.isOpen)),
      element('span', { class: 'spacer' }),
      this.#verdict,
      element('a', { class: 'button-plain', href: './', text: 'Play' }),
    ]);
    this.#hud.append(
      this.#feed.root,
      this.#board.root,
      element('section', { class: 'player', 'aria-label': 'Replay' }, [this.#scrubber, row]),
    );
    parent.append(this.#hud);
    window.addEventListener('keydown', (event) => this.#key(event), options);
    this.#canvas.addEventListener('pointermove', (event) => this.#drag(event), options);
  }

  #play(isPlaying: boolean): void {
    if (isPlaying && this.tick >= this.timeline.ticks) this.#jump(0);
    this.#isPlaying = isPlaying;
    this.#playButton.textContent = isPlaying ? 'Pause' : 'Play on';
  }

  #jump(tick: number): void {
    this.timeline.seek(tick);
    this.#part = 0;
    this.#painter.forget();
    this.#feed.clear();
    this.#isCameraPlaced = false;
    this.#worldScene.note(this.timeline.world);
  }

  #key(event: KeyboardEvent): void {
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
    if (event.code === 'Space' && !(event.target instanceof HTMLButtonElement)) this.#play(!this.#isPlaying);
    else if (event.code === 'ArrowLeft') this.#jump(this.tick - JUMP_SECONDS * this.#rateHz);
    else if (event.code === 'ArrowRight') this.#jump(this.tick + JUMP_SECONDS * this.#rateHz);
    else if (event.code === 'Period') this.#stepOnce();
    else if (event.code === 'Tab') this.#board.show(!this.#board.isOpen);
    else return;
    event.preventDefault();
  }

  #stepOnce(): void {
    this.#play(false);
    this.#advance();
    this.#part = 0;
  }

  /** Dragging the ground moves the free camera. */
  #drag(event: PointerEvent): void {
    if (event.buttons === 0) return;
    const { camera } = this.#painter;
    if (this.#followed !== FREE_CAMERA) {
      this.#followed = FREE_CAMERA;
      this.#follow.value = String(FREE_CAMERA);
      this.#freeX = camera.x;
      this.#freeY = camera.y;
    }
    const { map } = this.timeline.world;
    this.#freeX = Math.max(0, Math.min(map.columns, this.#freeX - event.movementX / camera.pxPerM));
    this.#freeY = Math.max(0, Math.min(map.rows, this.#freeY - event.movementY / camera.pxPerM));
  }

  /** @param nowMs the time stamp of the animation frame */
  frame(nowMs: number): void {
    const dtS = this.#framedAtMs === 0 ? 0 : Math.min(0.1, (nowMs - this.#framedAtMs) / 1000);
    this.#framedAtMs = nowMs;
    if (this.#isPlaying) this.#run(dtS);
    this.timeline.scout(this.#isPlaying ? SCOUT_MS : SCOUT_IDLE_MS);
    const { world } = this.timeline;
    const scene = this.#worldScene.lay(world, this.#isPlaying ? this.#part : 1, this.#followed);
    this.#placeCamera(dtS);
    this.#painter.draw(scene, nowMs, dtS);
    this.#feed.refresh(nowMs);
    if (nowMs - this.#refreshedAtMs < 100) return;
    this.#refreshedAtMs = nowMs;
    this.#refresh();
  }

  #run(dtS: number): void {
    this.#part += dtS * this.#rateHz * Number(this.#speed.value);
    let steps = 0;
    while (this.#part >= 1) {
      this.#part -= 1;
      if (steps++ < STEPS_PER_FRAME_MAX && !this.#advance()) {
        this.#part = 1;
        this.#play(false);
        return;
      }
    }
  }

  #advance(): boolean {
    const { world } = this.timeline;
    this.#worldScene.note(world);
    if (!this.timeline.step()) return false;
    this.#showEvents(this.timeline.world);
    return true;
  }

  #showEvents(world: ArenaWorld): void {
    const { effects, camera } = this.#painter;
    for (const shot of world.events.shots) {
      const colour = fighterColour(shot.seat, shot.seat === this.#followed);
      effects.tracer(
        shot.x / UNITS_PER_METRE,
        shot.y / UNITS_PER_METRE,
        shot.toX / UNITS_PER_METRE,
        shot.toY / UNITS_PER_METRE,
        colour,
      );
    }
    for (const { x, y } of world.events.explosions) {
      effects.explosion(x / UNITS_PER_METRE, y / UNITS_PER_METRE, ARENA_PROPORTIONS.splashRadius);
      camera.shake(x / UNITS_PER_METRE, y / UNITS_PER_METRE, 0.25);
    }
    for (const { killer, victim, weapon } of world.events.kills) {
      const isSuicide = killer === victim || killer < 0;
      const isOwn = killer === this.#followed || victim === this.#followed;
      if (isSuicide) this.#feed.add(this.#framedAtMs, world.name(victim), '', 'fell to their own rocket', isOwn);
      else this.#feed.add(this.#framedAtMs, world.name(killer), world.name(victim), weapon, isOwn);
    }
  }

  #placeCamera(dtS: number): void {
    const { world } = this.timeline;
    const { camera } = this.#painter;
    const fighter = this.#worldScene.scene.fighters.find((one) => one.seat === this.#followed);
    const x = fighter?.x ?? this.#freeX;
    const y = fighter?.y ?? this.#freeY;
    const isFar = Math.hypot(x - camera.x, y - camera.y) > 15;
    camera.follow(x, y, 0, 0, dtS, !this.#isCameraPlaced || isFar || this.#followed === FREE_CAMERA);
    this.#isCameraPlaced = true;
    if (fighter === undefined && this.#followed !== FREE_CAMERA && !world.isUsed(this.#followed)) {
      this.#freeX = camera.x;
      this.#freeY = camera.y;
    }
  }

  #refresh(): void {
    const { timeline } = this;
    const { tick } = timeline;
    if (document.activeElement !== this.#scrubber || this.#isPlaying) this.#scrubber.value = String(tick);
    setText(this.#time, `${timeText(tick / this.#rateHz)} / ${timeText(timeline.ticks / this.#rateHz)} · tick ${tick}`);
    this.#tellVerdict(timeline.verdict);
    this.#offerSeats();
    if (this.#board.isOpen) this.#board.fill(scoreLinesOf(timeline.world, this.#followed));
  }

  #tellVerdict(verdict: Verdict): void {
    this.#verdict.classList.toggle('is-good', verdict.kind === 'verified');
    this.#verdict.classList.toggle('is-bad', verdict.kind === 'diverged');
    if (verdict.kind === 'verified') setText(this.#verdict, `✓ verified (${verdict.hashes} hashes)`);
    else if (verdict.kind === 'diverged') setText(this.#verdict, `✗ diverges by tick ${verdict.tick}`);
    else setText(this.#verdict, `checking ${Math.floor((100 * verdict.tick) / Math.max(1, this.timeline.ticks))} %`);
  }

  #offerSeats(): void {
    const { world } = this.timeline;
    const options: string[] = [];
    for (let seat = 0; seat < world.capacity; seat++) {
      if (world.isUsed(seat)) options.push(`${seat} ${world.name(seat)}${world.isBot(seat) ? ' (bot)' : ''}`);
    }
    const key = options.join('\n');
    if (key === this.#followOptions) return;
    this.#followOptions = key;
    this.#follow.replaceChildren(
      element('option', { value: String(FREE_CAMERA), text: 'Free camera' }),
      ...options.map((option) => {
        const [seat = ''] = option.split(' ', 1);
        return element('option', { value: seat, text: `Follow ${option.slice(seat.length + 1)}` });
      }),
    );
    this.#follow.value = String(this.#followed);
    if (this.#follow.selectedIndex < 0) this.#follow.value = String(FREE_CAMERA);
  }
}
