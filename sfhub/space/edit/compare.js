// The slider over the picture cuts between before and after; a click on a region chooses it. While another slider moves
// only the result follows it; once nothing has come for a moment, all else is asked for.
const cut = () => {
    const slider = element.querySelector('.cut');
    if (!slider) return;
    element.style.setProperty('--cut', slider.value / 100);
    element.dataset.cut = slider.value;
};
element.addEventListener('input', (event) => {
    if (event.target.matches('.cut')) cut();
});
element.addEventListener('click', (event) => {
    const area = event.target.closest('[data-region]');
    if (area) trigger('click', {action: 'region', region: area.dataset.region});
});
let settling;
watch('value', () => {
    cut();
    clearTimeout(settling);
    if (element.querySelector('[data-live]')) settling = setTimeout(() => trigger('release', {}), 250);
});
