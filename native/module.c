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
#include "planes.h"
#include "progressive.h"

typedef struct {
    PyObject_HEAD
    Planes planes;
    PyObject *owner[3];  /* whose memory the plane's data is; NULL: ours */
} Picture;

static PyObject *picture_type, *Declined, *Cancelled;

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
static PyMethodDef functions[] = {
    {"decode", module_decode, METH_VARARGS,
     "decode(data, width, height, denominator[, cancel, seconds]) -> Planes\n\n"
     "The JPEG at 1/denominator. Raises Declined for what is unusual or damaged. This and the methods of Planes raise\n"
     "Cancelled once the first byte of the buffer `cancel` is not 0, and TimeoutError after so many seconds."},
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
    picture_type = PyType_FromSpec(&spec);
    Declined = PyErr_NewException("hotfolder.imaging._planes.Declined", NULL, NULL);
    Cancelled = PyErr_NewException("hotfolder.imaging._planes.Cancelled", NULL, NULL);
    if (!picture_type || !Declined || !Cancelled || PyModule_AddObjectRef(module, "Planes", picture_type) ||
        PyModule_AddObjectRef(module, "Declined", Declined) || PyModule_AddObjectRef(module, "Cancelled", Cancelled) ||
        PyModule_AddStringConstant(module, "library", jpeg_library()) ||
        PyModule_AddIntConstant(module, "BASELINE", BASELINE) || PyModule_AddIntConstant(module, "FAST", FAST) ||
        PyModule_AddIntConstant(module, "SMALL", SMALL)) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
