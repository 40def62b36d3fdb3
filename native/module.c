/* JPEG as planes: the optional accelerator behind hotfolder/imaging/native.py. This file is the Python module.
 *
 * A JPEG holds brightness and two colour differences as planes, the latter often at half size. Here they stay planes
 * from decoding over resampling to encoding: no conversion to RGB and back, no interleaving. jpeg.c decodes and
 * encodes: libjpeg-turbo reads headers, baseline.c what cameras write, progressive.c writes what viewers get, libjpeg does
 * all the rest. resample.c works between.
 *
 * Sources are hostile. Whatever is unusual (inks, other sampling, 12 bits, arithmetic coding) or makes libjpeg warn
 * ends in Declined: Pillow then decodes it and says what is wrong. The caller has checked the size; it is checked again.
 * Nothing here holds the GIL while it works. Each call may be told to stop: by a buffer, whose first byte another thread sets,
 * or after so many seconds.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "baseline.h"
#include "lines.h"
#include "pixels.h"
#include "progressive.h"
#include "scans.h"

typedef struct {
    PyObject_HEAD
    Planes planes;
    PyObject *owner[3];  /* whose memory the plane's data is; NULL: ours */
} Picture;

static PyObject *picture_type, *reader_type, *Declined, *Cancelled;

static Picture *picture_new(int width, int height) {
    allocfunc make = (allocfunc)PyType_GetSlot((PyTypeObject *)picture_type, Py_tp_alloc);
    Picture *picture = (Picture *)make((PyTypeObject *)picture_type, 0);  /* all zero */
    if (picture) {
        picture->planes.width = width;
        picture->planes.height = height;
    }
    return picture;
}

static void picture_free(Picture *picture) {
    PyTypeObject *type = Py_TYPE((PyObject *)picture);
    for (int i = 0; i < 3; i++) {
        if (!picture->owner[i]) free(picture->planes.plane[i].data);
        Py_CLEAR(picture->owner[i]);
    }
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(picture);
    Py_DECREF(type);
}

/* 0 with an exception set where `cancel` is no buffer for it. */
static int stop_begin(Stop *stop, const Py_buffer *cancel, double seconds) {
    *stop = (Stop){cancel->buf, seconds < INFINITY ? clock_now() + seconds : INFINITY, GOES_ON};
    if (!cancel->buf || cancel->len > 0) return 1;
    PyErr_SetString(PyExc_ValueError, "cancel is a buffer of at least one byte");
    return 0;
}

static PyObject *raise_failure(const Failure *failure, const Stop *stop) {
    if (stop->ended == CANCELLED) PyErr_SetString(Cancelled, "told to stop");
    if (stop->ended == LATE) PyErr_SetString(PyExc_TimeoutError, "its time is over");
    if (stop->ended) return NULL;
    if (failure->memory) return PyErr_NoMemory();
    PyErr_SetString(Declined, failure->text);
    return NULL;
}

static PyObject *module_decode(PyObject *module, PyObject *arguments) {
    (void)module;
    Py_buffer data, cancel = {0};
    int width, height, denominator, good;
    double seconds = INFINITY;
    Failure failure;
    Stop stop;
    if (!PyArg_ParseTuple(arguments, "y*iii|z*d:decode", &data, &width, &height, &denominator, &cancel, &seconds))
        return NULL;
    Picture *picture = NULL;
    if (width < 1 || height < 1 || width > LARGEST_SIDE || height > LARGEST_SIDE ||
        (denominator != 1 && denominator != 2 && denominator != 4 && denominator != 8))
        PyErr_SetString(PyExc_ValueError, "width and height are 1 to 65500, the denominator is 1, 2, 4 or 8");
    else if (stop_begin(&stop, &cancel, seconds))
        picture = picture_new(width, height);
    if (picture) {
        Py_BEGIN_ALLOW_THREADS
        good = planes_decode(&picture->planes, data.buf, data.len, denominator, &stop, &failure);
        Py_END_ALLOW_THREADS
        if (!good) {
            Py_CLEAR(picture);
            raise_failure(&failure, &stop);
        }
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&cancel);
    return (PyObject *)picture;
}

/* The Arrow C data interface (arrow.apache.org/docs/format/CDataInterface.html): how Pillow shows its memory. */
typedef struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children, *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
} ArrowArray;

/* The pixels in an array of `count` lists of four bytes each; NULL with an exception set where it is none. */
static const uint8_t *arrow_pixels(PyObject *capsule, int64_t count) {
    const ArrowArray *array = PyCapsule_GetPointer(capsule, "arrow_array");
    if (!array) return NULL;
    const ArrowArray *values = array->release && array->n_children == 1 ? array->children[0] : NULL;
    if (values && !array->offset && !values->offset && array->length == count && values->length == 4 * count &&
        values->n_buffers == 2 && values->buffers[1])
        return values->buffers[1];
    PyErr_SetString(PyExc_ValueError, "the array holds width × height pixels of four bytes");
    return NULL;
}

static PyObject *module_draw(PyObject *module, PyObject *arguments) {
    (void)module;
    PyObject *source;
    Py_buffer data = {0}, cancel = {0};
    int width, height, denominator, good;
    double seconds = INFINITY;
    Stop stop;
    if (!PyArg_ParseTuple(arguments, "Oiii|z*d:draw", &source, &width, &height, &denominator, &cancel, &seconds)) return NULL;
    Picture *picture = NULL;
    const uint8_t *pixels = NULL;
    int colour = PyCapsule_IsValid(source, "arrow_array");
    if (width < 1 || height < 1 || (denominator != 1 && denominator != 2 && denominator != 4 && denominator != 8))
        PyErr_SetString(PyExc_ValueError, "width and height are at least 1, the denominator is 1, 2, 4 or 8");
    else if (colour)
        pixels = arrow_pixels(source, (int64_t)width * height);
    else if (!PyObject_GetBuffer(source, &data, PyBUF_SIMPLE)) {
        if ((int64_t)data.len == (int64_t)width * height) pixels = data.buf;
        else PyErr_SetString(PyExc_ValueError, "the buffer holds width × height bytes");
    }
    if (pixels && stop_begin(&stop, &cancel, seconds)) picture = picture_new(width, height);
    if (picture) {
        Py_BEGIN_ALLOW_THREADS
        good = planes_from_pixels(&picture->planes, pixels, (size_t)width * (colour ? PIXEL : 1), colour ? PIXEL : 1, denominator, &stop);
        Py_END_ALLOW_THREADS
        if (!good) {
            Py_CLEAR(picture);
            raise_failure(&(Failure){.memory = 1}, &stop);
        }
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&cancel);
    return (PyObject *)picture;
}

static PyObject *module_gather(PyObject *module, PyObject *arguments) {
    (void)module;
    Py_buffer part[3] = {{0}}, cancel = {0};
    int width, height, wide, high, stride[3], denominator, is_video, good = 1;
    double seconds = INFINITY;
    Stop stop;
    if (!PyArg_ParseTuple(arguments, "iiy*y*y*(ii)(iii)ip|z*d:gather", &width, &height, &part[0], &part[1], &part[2], &wide, &high,
                          &stride[0], &stride[1], &stride[2], &denominator, &is_video, &cancel, &seconds))
        return NULL;
    Picture *picture = NULL;
    for (int i = 0; i < 3; i++) {
        int64_t group = i ? 2 : 1, across = (wide + group - 1) / group, down = (high + group - 1) / group;
        good = good && stride[i] >= across && part[i].len >= stride[i] * (down - 1) + across;
    }
    if (!good || width < 1 || height < 1 || wide < 1 || high < 1 || (denominator != 1 && denominator != 2 && denominator != 4 && denominator != 8))
        PyErr_SetString(PyExc_ValueError, "three planes, those of colour half as wide and high, rounded up; the denominator is 1, 2, 4 or 8");
    else if (stop_begin(&stop, &cancel, seconds))
        picture = picture_new(width, height);
    if (picture) {
        const uint8_t *data[3] = {part[0].buf, part[1].buf, part[2].buf};
        Py_BEGIN_ALLOW_THREADS
        good = planes_from_samples(&picture->planes, data, stride, wide, high, denominator, is_video, &stop);
        Py_END_ALLOW_THREADS
        if (!good) {
            Py_CLEAR(picture);
            raise_failure(&(Failure){.memory = 1}, &stop);
        }
    }
    for (int i = 0; i < 3; i++) PyBuffer_Release(&part[i]);
    PyBuffer_Release(&cancel);
    return (PyObject *)picture;
}

static PyObject *module_unpack(PyObject *module, PyObject *arguments) {
    (void)module;
    Py_buffer data, cancel = {0};
    Py_ssize_t size;
    double seconds = INFINITY;
    PyObject *result = NULL;
    Stop stop;
    if (!PyArg_ParseTuple(arguments, "y*n|z*d:unpack", &data, &size, &cancel, &seconds)) return NULL;
    if (size < 0 || size > INT_MAX) PyErr_SetString(PyExc_ValueError, "a size is 0 to 2^31 - 1");
    else if (stop_begin(&stop, &cancel, seconds)) result = PyBytes_FromStringAndSize(NULL, size);
    if (result) {
        uint8_t *to = (uint8_t *)PyBytes_AsString(result);
        size_t made;
        Py_BEGIN_ALLOW_THREADS
        made = lzw_unpack(data.buf, data.len, to, size, &stop);
        Py_END_ALLOW_THREADS
        if (made < (size_t)size) {
            Py_CLEAR(result);
            raise_failure(&(Failure){.text = "it holds less"}, &stop);
        }
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&cancel);
    return result;
}

/* What is given line by line, until it is whole. */
typedef struct {
    PyObject_HEAD
    Lines lines;
} Reader;

static void reader_free(Reader *reader) {
    PyTypeObject *type = Py_TYPE((PyObject *)reader);
    for (int i = 0; i < 3; i++) free(reader->lines.planes.plane[i].data);
    lines_free(&reader->lines);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(reader);
    Py_DECREF(type);
}

static PyObject *module_lines(PyObject *module, PyObject *arguments) {
    (void)module;
    int width, height, channels, denominator, filter = OF_ITS_OWN;
    const uint8_t *palette = NULL;
    Py_ssize_t length = 0;
    if (!PyArg_ParseTuple(arguments, "iiii|z#i:lines", &width, &height, &channels, &denominator, &palette, &length, &filter)) return NULL;
    if (width < 1 || filter < OF_ITS_OWN || filter > 4 || height < 1 || (channels != 1 && channels != 3 && channels != PIXEL) || length % 3 || length > 3 * 256 ||
        (palette && (channels != 1 || !length)) || (denominator != 1 && denominator != 2 && denominator != 4 && denominator != 8)) {
        PyErr_SetString(PyExc_ValueError, "1, 3 or 4 channels, at 1/1, 1/2, 1/4 or 1/8; a palette has 1 to 256 colours of one channel");
        return NULL;
    }
    allocfunc make = (allocfunc)PyType_GetSlot((PyTypeObject *)reader_type, Py_tp_alloc);
    Reader *reader = (Reader *)make((PyTypeObject *)reader_type, 0);  /* all zero */
    if (!reader) return NULL;
    reader->lines.planes.width = width;
    reader->lines.planes.height = height;
    if (!lines_begin(&reader->lines, channels, denominator, palette, (int)(length / 3), filter)) {
        Py_CLEAR(reader);
        PyErr_NoMemory();
    }
    return (PyObject *)reader;
}

static PyObject *reader_add(Reader *self, PyObject *arguments) {
    Py_buffer data, cancel = {0};
    double seconds = INFINITY;
    const char *why = NULL;
    PyObject *result = NULL;
    Stop stop;
    if (!PyArg_ParseTuple(arguments, "y*|z*d:add", &data, &cancel, &seconds)) return NULL;
    if (!self->lines.memory) {
        PyErr_SetString(PyExc_ValueError, "its planes were taken");
    } else if (stop_begin(&stop, &cancel, seconds)) {
        Py_BEGIN_ALLOW_THREADS
        why = lines_add(&self->lines, data.buf, data.len, &stop);
        Py_END_ALLOW_THREADS
        if (why) PyErr_SetString(Declined, why);
        else result = stop.ended ? raise_failure(NULL, &stop) : Py_NewRef(Py_None);
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&cancel);
    return result;
}

static PyObject *reader_planes(Reader *self, PyObject *unused) {
    (void)unused;
    if (!self->lines.memory || self->lines.y < self->lines.planes.height) {
        PyErr_SetString(Declined, "not all of its lines are there");
        return NULL;
    }
    Picture *picture = picture_new(self->lines.planes.width, self->lines.planes.height);
    if (!picture) return NULL;
    picture->planes = self->lines.planes;
    for (int i = 0; i < 3; i++) self->lines.planes.plane[i].data = NULL;
    lines_free(&self->lines);
    return (PyObject *)picture;
}

static int wish_check(const Planes *planes, const Wish *wish) {
    int turned = wish->orientation >= 5, wide = turned ? planes->height : planes->width;
    int high = turned ? planes->width : planes->height;
    if (wish->width < 1 || wish->height < 1 || wish->width > LARGEST_SIDE || wish->height > LARGEST_SIDE ||
        wish->orientation < 1 || wish->orientation > 8 || !(wish->left >= 0 && wish->left < wish->right) ||
        !(wish->right <= wide) || !(wish->top >= 0 && wish->top < wish->bottom) || !(wish->bottom <= high)) {
        PyErr_SetString(PyExc_ValueError, "the box must lie within the upright picture, orientation be 1 to 8");
        return 0;
    }
    return 1;
}

static PyObject *picture_resized(Picture *self, PyObject *arguments) {
    Wish wish = {0};
    Py_buffer cancel = {0};
    double seconds = INFINITY;
    Stop stop;
    if (!PyArg_ParseTuple(arguments, "(ii)(dddd)ip|pz*d:resized", &wish.width, &wish.height, &wish.left, &wish.top,
                          &wish.right, &wish.bottom, &wish.orientation, &wish.halved, &wish.average, &cancel, &seconds))
        return NULL;
    Picture *picture = NULL;
    if (wish_check(&self->planes, &wish) && stop_begin(&stop, &cancel, seconds)) picture = picture_new(wish.width, wish.height);
    if (picture) {
        int good, count = picture->planes.count = self->planes.count, same[3] = {0};
        Py_BEGIN_ALLOW_THREADS
        good = planes_resize(&self->planes, &picture->planes, &wish, same, &stop);
        Py_END_ALLOW_THREADS
        for (int i = 0; i < count; i++)
            if (same[i]) picture->owner[i] = Py_NewRef(self->owner[i] ? self->owner[i] : (PyObject *)self);
        if (!good) {
            Py_CLEAR(picture);
            raise_failure(&(Failure){.memory = 1}, &stop);
        }
    }
    PyBuffer_Release(&cancel);
    return (PyObject *)picture;
}

static int jpeg_check(const Planes *planes, int scans, const uint8_t *tables, Py_ssize_t length) {
    const char *wrong = NULL;
    if (tables && (length != 2 * BLOCK_SIZE || memchr(tables, 0, length))) wrong = "tables are two of 64 steps, each 1 to 255";
    else if (scans < BASELINE || scans > SMALL) wrong = "scans is BASELINE, FAST or SMALL";
    for (int i = 0; i < planes->count; i++) {
        double meant = i ? 0.5 : 1.0;
        if (!wrong && (planes->plane[i].across != meant || planes->plane[i].down != meant))
            wrong = "only what was resized with its colour halved can be encoded";
    }
    if (wrong) PyErr_SetString(PyExc_ValueError, wrong);
    return !wrong;
}

static PyObject *picture_jpeg(Picture *self, PyObject *arguments) {
    int quality, scans, good;
    const uint8_t *tables = NULL;
    Py_ssize_t length = 0;
    Py_buffer cancel = {0};
    double seconds = INFINITY;
    uint8_t *made = NULL;
    size_t size = 0;
    Failure failure;
    Stop stop;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "ii|z#z*d:jpeg", &quality, &scans, &tables, &length, &cancel, &seconds)) return NULL;
    if (jpeg_check(&self->planes, scans, tables, length) && stop_begin(&stop, &cancel, seconds)) {
        Py_BEGIN_ALLOW_THREADS
        good = planes_encode(&self->planes, quality, tables, scans, &made, &size, &stop, &failure);
        Py_END_ALLOW_THREADS
        result = good ? PyBytes_FromStringAndSize((char *)made, size) : raise_failure(&failure, &stop);
    }
    free(made);
    PyBuffer_Release(&cancel);
    return result;
}

/* The samples without what lies behind each row. 0: told to stop. */
static int plane_copy(const Plane *plane, char *to, Stop *stop) {
    for (int y = 0; y < plane->height; y++) {
        if (y % BLOCK == 0 && stopped(stop)) return 0;
        memcpy(to + (size_t)y * plane->width, plane->data + y * plane->stride, plane->width);
    }
    return 1;
}

static PyObject *picture_plane(Picture *self, PyObject *arguments) {
    int i, good = 0;
    Py_buffer cancel = {0};
    double seconds = INFINITY;
    Stop stop;
    PyObject *samples = NULL;
    if (!PyArg_ParseTuple(arguments, "i|z*d:plane", &i, &cancel, &seconds)) return NULL;
    if (i < 0 || i >= self->planes.count) {
        PyErr_SetString(PyExc_IndexError, "no such plane");
    } else if (stop_begin(&stop, &cancel, seconds)) {
        size_t size = bytes(self->planes.plane[i].width, self->planes.plane[i].height, 0);
        samples = size <= PY_SSIZE_T_MAX / 2 ? PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size) : PyErr_NoMemory();
    }
    if (samples) {
        char *to = PyBytes_AsString(samples);
        Py_BEGIN_ALLOW_THREADS
        good = plane_copy(&self->planes.plane[i], to, &stop);
        Py_END_ALLOW_THREADS
        if (!good) {
            Py_CLEAR(samples);
            raise_failure(NULL, &stop);
        }
    }
    PyBuffer_Release(&cancel);
    return samples ? Py_BuildValue("(ii)N", self->planes.plane[i].width, self->planes.plane[i].height, samples) : NULL;
}

static PyObject *picture_size(Picture *self, void *unused) {
    (void)unused;
    return Py_BuildValue("(ii)", self->planes.width, self->planes.height);
}

static PyObject *picture_count(Picture *self, void *unused) {
    (void)unused;
    return PyLong_FromLong(self->planes.count);
}

static PyObject *picture_direct(Picture *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(self->planes.direct);
}

static PyMethodDef methods[] = {
    {"resized", (PyCFunction)picture_resized, METH_VARARGS,
     "resized((width, height), (left, top, right, bottom), orientation, halved[, average, cancel, seconds]) -> Planes\n\n"
     "The box of the upright picture at this size, upright, by Lanczos or by averages; halved: its colour at half size (4:2:0)."},
    {"jpeg", (PyCFunction)picture_jpeg, METH_VARARGS,
     "jpeg(quality, scans[, tables, cancel, seconds]) -> bytes\n\nThe picture as a JPEG; its colour must be halved. Scans: BASELINE, FAST, "
     "SMALL. Tables in place of the quality: 128 bytes, for brightness and for colour, in natural order."},
    {"plane", (PyCFunction)picture_plane, METH_VARARGS,
     "plane(number[, cancel, seconds]) -> ((width, height), bytes)\n\nThe samples of Y, Cb or Cr, row by row."},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef attributes[] = {
    {"size", (getter)picture_size, NULL, "Width and height of the picture in pixels, as it is stored.", NULL},
    {"count", (getter)picture_count, NULL, "1 (grey) or 3 (Y, Cb, Cr).", NULL},
    {"direct", (getter)picture_direct, NULL, "Whether it was decoded here, and not by libjpeg.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_dealloc, picture_free}, {Py_tp_methods, methods}, {Py_tp_getset, attributes}, {0, NULL},
};
static PyType_Spec spec = {
    "hotfolder.imaging._planes.Planes", sizeof(Picture), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, slots,
};
static PyMethodDef reader_methods[] = {
    {"add", (PyCFunction)reader_add, METH_VARARGS,
     "add(data[, cancel, seconds])\n\nMore of the lines, cut anywhere. Raises Declined for what is unusual or too much. Only one thread at a time."},
    {"planes", (PyCFunction)reader_planes, METH_NOARGS, "planes() -> Planes\n\nOnce, after the last line. Raises Declined before."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot reader_slots[] = {{Py_tp_dealloc, reader_free}, {Py_tp_methods, reader_methods}, {0, NULL}};
static PyType_Spec reader_spec = {
    "hotfolder.imaging._planes.Lines", sizeof(Reader), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, reader_slots,
};
static PyMethodDef functions[] = {
    {"decode", module_decode, METH_VARARGS,
     "decode(data, width, height, denominator[, cancel, seconds]) -> Planes\n\n"
     "The JPEG at 1/denominator. Raises Declined for what is unusual or damaged. This and the methods of Planes raise\n"
     "Cancelled once the first byte of the buffer `cancel` is not 0, and TimeoutError after so many seconds."},
    {"draw", module_draw, METH_VARARGS,
     "draw(pixels, width, height, denominator[, cancel, seconds]) -> Planes\n\n"
     "Pixels that others have decoded, at 1/denominator by averages: a buffer of grey bytes, or an Arrow array (its capsule) of\n"
     "lists of four bytes, of which the last does not count."},
    {"gather", module_gather, METH_VARARGS,
     "gather(width, height, Y, Cb, Cr, (wide, high), strides, denominator, is_video[, cancel, seconds]) -> Planes\n\n"
     "Planes that others have decoded, of a picture of width × height: Y of wide × high, the others half of that, rounded up, rows\n"
     "that many bytes apart; at 1/denominator by averages."},
    {"unpack", module_unpack, METH_VARARGS,
     "unpack(data, size[, cancel, seconds]) -> bytes\n\nThe first `size` bytes of what a TIFF's LZW has packed. Raises Declined where there are less."},
    {"lines", module_lines, METH_VARARGS,
     "lines(width, height, channels, denominator[, palette, filter]) -> Lines\n\n"
     "Takes lines of 8 bits a sample: grey or, with a palette, numbers in it (1 channel), RGB (3), or RGBA (4), of which nothing may\n"
     "be transparent. Each begins with the number of its filter, as in a PNG; or all have this one, and not its number."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_planes", "JPEG as planes, by libjpeg.", -1, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__planes(void) {
    PyObject *module = PyModule_Create(&definition);
    if (!module) return NULL;
    resample_prepare();
    baseline_prepare();
    progressive_prepare();
    scans_prepare();
    picture_type = PyType_FromSpec(&spec);
    reader_type = PyType_FromSpec(&reader_spec);
    Declined = PyErr_NewException("hotfolder.imaging._planes.Declined", NULL, NULL);
    Cancelled = PyErr_NewException("hotfolder.imaging._planes.Cancelled", NULL, NULL);
    if (!picture_type || !reader_type || !Declined || !Cancelled || PyModule_AddObjectRef(module, "Planes", picture_type) ||
        PyModule_AddObjectRef(module, "Declined", Declined) || PyModule_AddObjectRef(module, "Cancelled", Cancelled) ||
        PyModule_AddStringConstant(module, "library", jpeg_library()) ||
        PyModule_AddIntConstant(module, "BASELINE", BASELINE) || PyModule_AddIntConstant(module, "FAST", FAST) ||
        PyModule_AddIntConstant(module, "SMALL", SMALL)) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
