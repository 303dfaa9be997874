// A click on a button reports its data.
element.addEventListener('click', (event) => {
    const button = event.target.closest('button[data-action]');
    if (button) trigger('click', {...button.dataset});
});
