// A click on a picture says where, as a share of its width and height.
element.addEventListener('click', (event) => {
    const picture = event.target.closest('img[data-sample]');
    if (!picture) return;
    const box = picture.getBoundingClientRect();
    trigger('click', {
        sample: picture.dataset.sample,
        x: (event.clientX - box.left) / box.width,
        y: (event.clientY - box.top) / box.height,
    });
});
