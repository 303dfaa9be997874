// A press that moves drags what is under it, or the whole person if that is chosen; one that does not move chooses. The
// outline follows the pointer at once: it is shifted by what lies between there and the place it was drawn for. One
// message is on its way at a time, then the newest; Gradio's `always_last` would repeat an older one.
let drag = null, gestures = 0, number = 0, sent = null, next = null;
const handles = () => element.querySelector('.handles');
const places = () => JSON.parse(handles().dataset.places);
const shift = () => {
    const chosen = element.querySelector('.chosen');
    if (!chosen || !drag?.moved) return;
    const path = drag.outline ?? chosen.querySelector('.grip').getAttribute('d');
    for (const each of chosen.querySelectorAll('path')) each.setAttribute('d', path);
    const drawn = places()[drag.part] ?? [0, 0], box = handles().viewBox.baseVal;
    const x = (drag.right - drawn[0]) * box.width / 2, y = (drag.down - drawn[1]) * box.height / 2;
    chosen.setAttribute('transform', `translate(${x} ${y})`);
};
const send = (done) => {
    drag.number = ++number;
    next = {part: drag.part, right: drag.right, down: drag.down, gesture: drag.gesture, number, done};
    post();
};
const post = () => {
    // An answer that failed never comes.
    if (!next || sent && performance.now() - sent.time < 5000) return;
    sent = {number: next.number, time: performance.now()};
    trigger(next.done ? 'release' : 'input', next);
    next = null;
};
element.addEventListener('pointerdown', (event) => {
    const path = event.target.closest('[data-part]');
    if (!path || event.button || drag && drag.id !== null) return;
    const active = handles().dataset.active, pressed = path.dataset.part;
    const part = active === '/person' && pressed !== '/background' ? active : pressed;
    const held = part === active ? null : path.getAttribute('d');
    const [right, down] = places()[part] ?? [0, 0];
    drag = {part, pressed, outline: held, from: [right, down], right, down, x: event.clientX, y: event.clientY,
            id: event.pointerId, gesture: `drag ${++gestures}`, moved: false};
    element.setPointerCapture(event.pointerId);
});
element.addEventListener('pointermove', (event) => {
    if (!drag || event.pointerId !== drag.id || drag.part === '/background') return;
    const box = handles().getBoundingClientRect();
    const x = event.clientX - drag.x, y = event.clientY - drag.y;
    if (!drag.moved && Math.hypot(x, y) < 4) return;
    drag.moved = true;
    element.dataset.dragging = '';
    drag.right = drag.from[0] + 2 * x / box.width;
    drag.down = drag.from[1] + 2 * y / box.height;
    shift();
    send(false);
});
const release = (event) => {
    if (!drag || event.pointerId !== drag.id) return;
    if (drag.moved) send(true);
    else if (event.type === 'pointerup') trigger('click', {action: 'choose', part: drag.pressed});
    if (!drag.moved) drag = null;
    else drag.id = null;
    delete element.dataset.dragging;
};
element.addEventListener('pointerup', release);
element.addEventListener('pointercancel', release);
// What the browser would do with a press on a picture.
element.addEventListener('dragstart', (event) => event.preventDefault());
const steps = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
element.addEventListener('keydown', (event) => {
    const step = steps[event.key], svg = event.target.closest('.handles');
    if (!step || !svg || svg.dataset.active === '/background') return;
    event.preventDefault();
    const part = svg.dataset.active, drawn = places()[part];
    if (!drag || drag.part !== part) drag = {part, right: drawn[0], down: drawn[1], id: null, moved: true};
    drag.gesture = `keys ${gestures}`;
    drag.right += step[0] / 32;
    drag.down += step[1] / 32;
    shift();
    send(true);
});
element.addEventListener('keyup', () => gestures++);
watch('value', () => {
    const answered = Number(handles()?.dataset.answered ?? 0);
    if (answered === sent?.number) sent = null;
    post();
    if (drag && drag.id === null && (answered === drag.number || answered === 0)) drag = null;
    shift();
});
