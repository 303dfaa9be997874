// All views are always there; a click swaps which of them is large, and only the browser needs to know.
const enlarge = (view) => {
    element.dataset.large = view;
    for (const button of element.querySelectorAll('button[data-view]'))
        button.setAttribute('aria-pressed', button.dataset.view === view);
};
element.addEventListener('click', (event) => {
    const button = event.target.closest('button[data-view]');
    if (button) enlarge(button.dataset.view);
});
watch('value', () => enlarge(element.dataset.large));
enlarge('result');
